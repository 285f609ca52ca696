import { answersAgree } from './suite.ts';

await answersAgree('weather-news');
