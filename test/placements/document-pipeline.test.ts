import { answersAgree } from './suite.ts';

await answersAgree('document-pipeline');
