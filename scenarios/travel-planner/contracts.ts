import { agent, tool, z } from 'dmas-opt';

export const forecast = tool('forecast', {
  description: 'Weather forecast for a city',
  input: z.object({ city: z.string(), days: z.int().min(1).max(10).default(3) }),
  output: z.object({ city: z.string(), days: z.array(z.object({ celsius: z.number(), sky: z.string() })) }),
  effect: 'readOnly',
});
export const alerts = tool('alerts', {
  description: 'Weather warnings in force for a city',
  input: z.object({ city: z.string() }),
  output: z.object({ alerts: z.array(z.string()) }),
  effect: 'readOnly',
});
export const searchGuides = tool('search-guides', {
  description: 'Searches travel guides for passages about a query',
  input: z.object({ query: z.string(), limit: z.int().min(1).max(10).default(3) }),
  output: z.object({ passages: z.array(z.object({ title: z.string(), score: z.number(), text: z.string() })) }),
  effect: 'readOnly',
});
export const openingHours = tool('opening-hours', {
  description: 'Opening hours of the sights of a city',
  input: z.object({ city: z.string() }),
  output: z.object({ sights: z.array(z.object({ name: z.string(), opens: z.string(), closes: z.string() })) }),
  effect: 'readOnly',
});

export const weather = agent('weather', {
  description: 'Says what the weather will be like and what to pack',
  input: z.object({ city: z.string() }),
  output: z.object({ text: z.string() }),
  effect: 'readOnly',
});
export const research = agent('research', {
  description: 'Finds out what to see in a city',
  input: z.object({ city: z.string(), query: z.string() }),
  output: z.object({ text: z.string() }),
  effect: 'readOnly',
});
export const travel = agent('travel', {
  description: 'Plans a trip',
  input: z.object({ city: z.string(), query: z.string() }),
  output: z.object({ text: z.string() }),
  effect: 'readOnly',
});
