import { agent, codeAgent, codeTool, llmAgent, tool, workflow, z } from 'dmas-opt';

// Contracts: what others see of each part.
export const readStation = tool('read-station', {
  description: 'Reads the weather station of a city',
  input: z.object({ city: z.string() }),
  output: z.object({ celsius: z.number(), sky: z.string() }),
  effect: 'readOnly',
});
export const weather = agent('weather', {
  description: 'Knows the weather of a city',
  input: z.object({ city: z.string() }),
  output: z.object({ report: z.string() }),
});
export const news = agent('news', {
  description: 'Writes a one-paragraph news item about the weather',
  input: z.object({ city: z.string() }),
  output: z.object({ text: z.string() }),
});

// Implementations: each can be deployed alone.
export const readStationCode = codeTool(readStation, async ({ city }) => {
  const skies = ['clear', 'cloudy', 'rain', 'snow'];
  return { celsius: (city.length * 7) % 35, sky: skies[city.length % skies.length] ?? 'clear' };
});
export const weatherAgent = codeAgent(
  weather,
  async ({ city }, ctx) => {
    const { celsius, sky } = await ctx.tool(readStation, { city });
    return { report: `${city}: ${celsius} degrees, ${sky}` };
  },
  { tools: [readStation] },
);
export const newsAgent = llmAgent(news, {
  model: 'main',
  system: 'You write short news items. Ask the weather agent before you write.',
  agents: [weather],
  prompt: ({ city }) => JSON.stringify({ city, task: 'Write a news item about the weather.' }),
});

export default workflow({ name: 'weather-news', entry: news, parts: [newsAgent, weatherAgent, readStationCode] });
