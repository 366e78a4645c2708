/**
 * Recognizes programs by their User-Agent. Browsers include the names of others, so those that are built on another one
 * come before it. Brave identifies itself as Chrome.
 */
const BROWSERS: [RegExp, string][] = [
  [/\bEdg(e|A|iOS)?\//, 'Edge'],
  [/\b(OPR|OPiOS|OPT|OPX)\//, 'Opera'],
  [/\bSamsungBrowser\//, 'Samsung Internet'],
  [/\bVivaldi\//, 'Vivaldi'],
  [/\bYaBrowser\//, 'Yandex Browser'],
  [/\b(DuckDuckGo|Ddg)\//, 'DuckDuckGo'],
  [/\bHuaweiBrowser\//, 'Huawei Browser'],
  [/\bMiuiBrowser\//, 'Mi Browser'],
  [/\b(UCBrowser|UCWEB)\b/, 'UC Browser'],
  [/\bWhale\//, 'Whale'],
  [/\bBrave\b/, 'Brave'],
  // In-app browsers.
  [/\bFBA[NV]\//, 'Facebook'],
  [/\bInstagram\b/, 'Instagram'],
  [/\bMicroMessenger\//, 'WeChat'],
  [/\bLine\//, 'LINE'],
  [/\bGSA\//, 'Google app'],
  [/; wv\)/, 'An app'],
  [/\b(FxiOS|Firefox|Focus)\//, 'Firefox'],
  [/(CriOS|Chrome|Chromium)\//, 'Chrome'],
  [/\b(MSIE |Trident\/)/, 'Internet Explorer'],
  [/Android.*\bVersion\//, 'Android Browser'],
  [/\bSafari\//, 'Safari'],
  // WebKit without the name of a browser.
  [/\b(iPhone|iPad|iPod|Macintosh).*AppleWebKit\//, 'An app'],
];

const SYSTEMS: [RegExp, string][] = [
  [/HarmonyOS|OpenHarmony/, 'HarmonyOS'],
  [/KAIOS/, 'KaiOS'],
  [/Tizen/, 'Tizen'],
  [/Android/, 'Android'],
  [/CrOS/, 'ChromeOS'],
  [/iPhone|iPod/, 'iOS'],
  // An iPad that requests desktop pages can be recognized only by the names of its browsers.
  [/iPad|Macintosh.*\b(CriOS|FxiOS|EdgiOS|OPT)\//, 'iPadOS'],
  [/Windows/, 'Windows'],
  [/Mac OS X|macOS/, 'macOS'],
  [/\b(Free|Open|Net)BSD\b/, 'BSD'],
  [/Linux|Ubuntu/, 'Linux'],
];

const PROGRAMS: [RegExp, string][] = [
  [/^PostmanRuntime\//, 'Postman'],
  [/^insomnia\//i, 'Insomnia'],
  [/^(python|aiohttp|Python)\b/, 'A Python program'],
  [/^Go-http-client\//, 'A Go program'],
  [/^Dart\//, 'A Dart program'],
  [/^(node|undici|axios|node-fetch)\b/, 'A Node.js program'],
  [/^(Java|Apache-HttpClient)\//, 'A Java program'],
  [/^Dalvik\//, 'An app'],
];

/** Desktop apps, and programs that start with their own name. */
const APP_OF_ELECTRON = /like Gecko\) (?:.* )?([\w.-]+)\/\S+ Chrome\/.* Electron\//;
const OWN_NAME = /^(?!Mozilla\/)([\w.-]{2,40})(?=\/|$)/;

/** The name of the program and its system, as far as its User-Agent contains them. */
export function programIn(userAgent: string | null): string {
  if (!userAgent) return 'A program';
  const program = nameOf(userAgent);
  if (!program) return userAgent;
  const system = find(SYSTEMS, userAgent);
  return system ? `${program} on ${system}` : program;
}

function nameOf(userAgent: string): string | undefined {
  if (/ Electron\//.test(userAgent)) return APP_OF_ELECTRON.exec(userAgent)?.[1] ?? 'An app';
  if (!userAgent.startsWith('Mozilla/')) return find(PROGRAMS, userAgent) ?? OWN_NAME.exec(userAgent)?.[1];
  return find(BROWSERS, userAgent);
}

function find(names: [RegExp, string][], userAgent: string): string | undefined {
  return names.find(([pattern]) => pattern.test(userAgent))?.[1];
}
