/** How a token is marked in a GGUF file. Source: `llama_token_type` in llama.cpp's `include/llama.h`. */
const tokenTypes = { normal: 1, unknown: 2, control: 3, byte: 6 } as const;

export interface Vocabulary {
  readonly tokens: readonly string[];
  /** SentencePiece joins the neighbours whose joint token has the highest score first. */
  readonly scores: readonly number[];
  readonly types: readonly number[];
  /** Whether a nonsense text may hold the token: whole syllables and words, so that it can be read aloud. */
  readonly speakable: readonly boolean[];
}

export const specialTokens = { unknown: 0, begin: 1, end: 2 } as const;

/** What SentencePiece writes for a space. */
const space = '\u2581';

const words = `the be to of and in that have it for not on with he as you do at this but his by from they we say her she or an will my one all
would there their what so up out if about who get which go me when make can like time no just him know take people into year your good some could
them see other than then now look only come its over think also back after use two how our work first well way even new want because any these give
day most us is are was were been has had did said each tell does set three own place please plan trip city weather news user assistant system tool
name value text date days number price total order item list answer question request result message model agent search find forecast rain sun cold warm
night morning hotel flight train cost budget book note summary report data code file test error true false null about according option second part
short usual visit wishes saves needs little fits leaves room keeps costs low stays flexible careful start early detour reserve people works`;
const endings = `ing ed er est ly ion tion ment ness ous able ful less al ent ant ive ate ist ism ity ers ings ions es th sh ch st nd nt ck ll ss tt pp rr
ea ee oo ou ai ow igh qu str tr pr pl cl gr gl br bl dr fr fl sp sc sk sm sn sw tw wh wr kn an en in on un ar or ur am em im om um ad id od as is us`;
const marks = `{" "} "} ": ": " "," "}, ", " , . : ; ! ? ... -- () [] [{ }] {} "" '' \\" \\n // == => -> :// www .com http 's 't 're 've 'll`;
const consonants = [...'bcdfghjklmnprstvwz'];
const vowels = [...'aeiou'];

/**
 * A vocabulary of exactly `size` tokens: specials, all bytes, then printable characters, words, syllables and the marks of JSON. Every
 * token can be reached by joining two others, as SentencePiece does, and what has no token falls back to bytes.
 */
export function vocabularyOf(size: number): Vocabulary {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  const characters = [space, '\n', ...Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index))];
  const syllables = consonants.flatMap((consonant) => vowels.map((vowel) => consonant + vowel));
  const spoken = [...split(words).map((word) => space + word), ...syllables, ...syllables.map((syllable) => space + syllable)];
  // Names that mean nothing, to fill the rest: a space and two syllables.
  const names = syllables.flatMap((first) => syllables.map((second) => `${space}${first}${second}`));
  const digits = Array.from({ length: 100 }, (_, number) => String(number).padStart(2, '0'));

  const pieces = new Set<string>(characters);
  // A token is reached from the left, one character at a time, so all its beginnings are tokens too.
  const add = (piece: string) => {
    for (let length = 2; length <= piece.length; length++) pieces.add(piece.slice(0, length));
  };
  for (const piece of [...spoken, ...split(endings), ...split(marks), ...digits]) add(piece);
  const left = size - 3 - bytes.length - pieces.size;
  if (left < 0) throw new RangeError(`a vocabulary needs at least ${size - left} tokens, not ${size}`);
  const step = Math.max(1, Math.floor(names.length / Math.max(1, left)));
  for (let index = 0; pieces.size < size - 3 - bytes.length; index += step) {
    pieces.add(names[index % names.length] ?? '');
    if (index >= names.length * 2) throw new RangeError(`a vocabulary has at most ${3 + bytes.length + pieces.size} tokens, not ${size}`);
  }
  const loud = new Set([...spoken, ...names]);
  const ordered = [...pieces].sort((a, b) => b.length - a.length || (a < b ? -1 : 1));
  const tokens = ['<unk>', '<s>', '</s>', ...bytes, ...ordered];
  return {
    tokens,
    // Beginnings of words first, then longer before shorter, so that words are not taken apart.
    scores: tokens.map((token, index) =>
      index < 3 + bytes.length ? 0 : token.startsWith(space) ? token.length - 1e3 : token.length - 2e3,
    ),
    types: tokens.map((_, index) => typeAt(index)),
    speakable: tokens.map((token) => loud.has(token)),
  };
}

const split = (list: string) => list.split(/\s+/);

function typeAt(index: number): number {
  if (index === specialTokens.unknown) return tokenTypes.unknown;
  if (index <= specialTokens.end) return tokenTypes.control;
  return index < 259 ? tokenTypes.byte : tokenTypes.normal;
}
