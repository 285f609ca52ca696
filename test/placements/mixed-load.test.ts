import { answersAgree } from './suite.ts';

await answersAgree('mixed-load');
