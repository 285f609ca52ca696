import { llmAgent } from 'dmas-opt';
import { alerts, forecast, openingHours, research, searchGuides, travel, weather } from './contracts.ts';

export const weatherAgent = llmAgent(weather, {
  model: 'main',
  system: 'You are a weather expert. Use the forecast and the alerts, then say in two sentences what to pack.',
  tools: [forecast, alerts],
  maxTokens: 120,
});

export const researchAgent = llmAgent(research, {
  model: 'main',
  system: 'You know every travel guide. Search the guides and the opening hours, then recommend three sights.',
  tools: [searchGuides, openingHours],
  maxTokens: 160,
});

export const travelAgent = llmAgent(travel, {
  model: 'main',
  system: 'You plan trips. Ask the weather and the research agent at the same time, then write a plan for three days.',
  agents: [weather, research],
  maxTokens: 240,
});
