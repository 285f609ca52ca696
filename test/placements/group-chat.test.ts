import { answersAgree } from './suite.ts';

await answersAgree('group-chat');
