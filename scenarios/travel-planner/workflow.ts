import { workflow } from 'dmas-opt';
import { researchAgent, travelAgent, weatherAgent } from './agents.ts';
import { travel } from './contracts.ts';
import { alertsTool, forecastTool, guideTools, openingHoursTool, searchGuidesTool, weatherTools } from './tools.ts';

export default workflow({
  name: 'travel-planner',
  entry: travel,
  parts: [travelAgent, weatherAgent, researchAgent, weatherTools, guideTools, forecastTool, alertsTool, searchGuidesTool, openingHoursTool],
});
