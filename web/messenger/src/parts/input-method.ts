interface Key {
  isComposing: boolean;
  keyCode: number;
}

/**
 * Whether the key belongs to an input method, such as the Enter that accepts a word in Japanese. Safari ends the
 * composition before this Enter, so `isComposing` is false, and only the key code of input methods (229) identifies it.
 * Virtual keyboards send this code too.
 */
export function isOfInputMethod({ isComposing, keyCode }: Key): boolean {
  return isComposing || keyCode === 229;
}
