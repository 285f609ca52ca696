import { answersAgree } from './suite.ts';

// The desk counts the turns of each conversation: with two replicas the counter must be found by the other, or the session must stick.
await answersAgree('support-desk', ['memory', 'file']);
