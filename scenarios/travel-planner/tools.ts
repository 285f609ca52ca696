import { codeTool, toolServer } from 'dmas-opt';
import { alerts, forecast, openingHours, searchGuides } from './contracts.ts';
import { rankPassages } from './guides.ts';

const skies = ['sunny', 'cloudy', 'showers', 'windy'];
const letters = (text: string) => [...text].reduce((sum, letter) => sum + letter.charCodeAt(0), 0);

export const forecastTool = codeTool(forecast, async ({ city, days }) => ({
  city,
  days: Array.from({ length: days }, (_, day) => ({
    celsius: 8 + ((letters(city) + day * 5) % 20),
    sky: skies[(letters(city) + day) % skies.length] ?? 'sunny',
  })),
}));

export const alertsTool = codeTool(alerts, async ({ city }) => ({ alerts: letters(city) % 3 === 0 ? [`strong wind in ${city}`] : [] }));

export const searchGuidesTool = codeTool(searchGuides, async ({ query, limit }) => ({ passages: rankPassages(query, limit) }));

export const openingHoursTool = codeTool(openingHours, async ({ city }) => ({
  sights: ['museum', 'castle', 'garden'].map((kind, index) => ({
    name: `${city} ${kind}`,
    opens: `${8 + ((letters(city) + index) % 3)}:00`,
    closes: `${17 + (index % 3)}:00`,
  })),
}));

export const weatherTools = toolServer('weather-tools', [forecast, alerts]);
export const guideTools = toolServer('guide-tools', [searchGuides, openingHours]);
