import { answersAgree } from './suite.ts';

await answersAgree('travel-planner');
