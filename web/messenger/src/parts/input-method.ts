interface Key {
  isComposing: boolean;
  keyCode: number;
}

/**
 * Whether the key belongs to an input method, as Enter does that accepts a word in Japanese. Safari ends the composition
 * before this Enter: then `isComposing` is false, and only the key code of input methods (229) tells. Virtual keyboards
 * send that code too.
 */
export function isOfInputMethod({ isComposing, keyCode }: Key): boolean {
  return isComposing || keyCode === 229;
}
