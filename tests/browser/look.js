// Looks at the pages: look.js WORK TEN MANY FEW STOPPED. Every page in light and dark, wide and on a phone: no error on the console, no
// request but to the page itself, nothing wider than the screen, no serious finding of axe-core. Then without JavaScript, and by
// keyboard. Writes pictures to WORK/shots and the figures to WORK/result.
"use strict";
const fs = require("fs");
const path = require("path");
const puppeteer = require("puppeteer-core");

const [work, ten, many, few, stopped] = process.argv.slice(2);
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const shots = path.join(work, "shots");
fs.mkdirSync(shots, { recursive: true });
let passed = 0, failed = 0, pictures = 0;

const tell = (what, problems) => {
  if (problems.length === 0) { passed += 1; console.log(`  ok    ${what}`); return; }
  failed += 1;
  console.log(`  FAIL  ${what}`);
  for (const problem of problems.slice(0, 10)) console.log(`        | ${problem}`);
};
const expect = (what, holds, found = "") => tell(what, holds ? [] : [String(found)]);

const LOOKS = [
  { name: "wide", width: 1280, height: 900, dark: false },
  { name: "wide-dark", width: 1280, height: 900, dark: true },
  { name: "phone", width: 390, height: 844, dark: false, phone: true },
  { name: "phone-dark", width: 390, height: 844, dark: true, phone: true },
];
const PAGES = [
  { name: "ten", url: ten, keep: ["wide", "wide-dark", "phone-dark"] },
  { name: "rotating", url: `${ten}tenants/moving`, keep: ["wide", "phone-dark"] },
  { name: "halted", url: `${ten}tenants/handless`, keep: ["wide"] },
  { name: "resting", url: `${ten}tenants/age-100`, keep: [] },
  { name: "fine", url: few, keep: ["wide"] },
  { name: "fleet-halted", url: stopped, keep: ["wide-dark"] },
  { name: "many", url: many, keep: ["wide", "phone"] },
  { name: "many-list", url: `${many}?show=all#credentials`, keep: ["wide"] },
  { name: "many-found", url: `${many}?q=0000&show=rotating`, keep: [] },
  { name: "many-last", url: `${many}?page=200`, keep: [] },
  { name: "unknown", url: `${ten}tenants/nobody`, status: 404, keep: [] },
];

// A page of the browser that remembers what went wrong on it.
async function open(browser, look, scripts = true) {
  const page = await browser.newPage();
  await page.setViewport({ width: look.width, height: look.height, isMobile: look.phone === true, hasTouch: look.phone === true });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: look.dark ? "dark" : "light" }]);
  await page.setJavaScriptEnabled(scripts);
  const wrong = [];
  page.on("console", (message) => {
    // That the page of an unknown tenant is a 404 is as it should be.
    if (["error", "warn"].includes(message.type()) && !/status of 404/.test(message.text())) wrong.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
  page.on("requestfailed", (request) => wrong.push(`request: ${request.url()} ${request.failure()?.errorText}`));
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol !== "data:" && ![ten, many, few, stopped].some((base) => new URL(base).host === url.host)) wrong.push(`elsewhere: ${request.url()}`);
  });
  return { page, wrong };
}

async function judge(browser, place, look) {
  const { page, wrong } = await open(browser, look);
  const answer = await page.goto(place.url, { waitUntil: "networkidle0" });
  const status = answer.status();
  const head = answer.headers();
  if (status !== (place.status ?? 200)) wrong.push(`status ${status}`);
  if (!/default-src 'none'/.test(head["content-security-policy"] ?? "")) wrong.push("no policy");
  if (head["cache-control"] !== "no-store") wrong.push("it may be stored");
  const styled = await page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth");
  if (styled !== "1120px") wrong.push(`the style is not there: ${styled}`);
  const width = await page.evaluate("document.documentElement.scrollWidth");
  if (width > look.width) wrong.push(`it is ${width} px wide`);
  // By the debugger, past the page's policy, which lets no script run.
  await page.evaluate(`${axe}; undefined`);
  const found = await page.evaluate("axe.run(document, { resultTypes: ['violations', 'incomplete'] })");
  for (const violation of found.violations) {
    wrong.push(`axe: ${violation.impact}: ${violation.id}: ${violation.nodes.slice(0, 3).map((node) => node.html.slice(0, 120)).join(" | ")}`);
  }
  tell(`${place.name} ${look.name}: nothing wrong, ${found.passes?.length ?? 0} rules of axe-core hold`, wrong);
  if (place.keep.includes(look.name)) {
    // What is further down looks like what is shown.
    const top = place.url.includes("#credentials") ? await page.evaluate("document.querySelector('#credentials').offsetTop - 16") : 0;
    const height = Math.min(look.phone ? 2000 : 1700, (await page.evaluate("document.documentElement.scrollHeight")) - top);
    await page.screenshot({ path: path.join(shots, `${place.name}-${look.name}.png`), clip: { x: 0, y: top, width: look.width, height } });
    pictures += 1;
  }
  await page.close();
}

// What would be wrong is found: the judge is shown a page with faults.
async function isAwake(browser) {
  const { page, wrong } = await open(browser, LOOKS[0]);
  await page.goto(ten);
  await page.evaluate("document.querySelector('label[for=q]').remove(); document.querySelector('h1').style.color = '#fee'; undefined");
  await page.evaluate(`${axe}; undefined`);
  const found = (await page.evaluate("axe.run(document)")).violations.map((violation) => violation.id);
  expect("axe-core sees a missing label and too little contrast", ["label", "color-contrast"].every((id) => found.includes(id)), found);
  await page.evaluate("const s = document.createElement('script'); s.textContent = 'document.title = 1'; document.head.append(s); undefined");
  await page.evaluate("const i = new Image(); i.src = 'http://elsewhere.invalid/x.png'; document.body.append(i); new Promise((done) => setTimeout(done, 200))");
  const title = await page.title();
  expect("the policy lets no script run and nothing be loaded", title !== "1" && wrong.filter((text) => /Content Security Policy/.test(text)).length >= 2, wrong.join(" | "));
  await page.close();
}

// What a person reads in five seconds.
async function says(browser) {
  const { page } = await open(browser, LOOKS[0]);
  const text = async (selector) => page.$eval(selector, (element) => element.textContent).catch(() => "");
  await page.goto(ten);
  expect("the headline says that a person is needed", /1 credential needs a person/.test(await text("h1")), await text("h1"));
  const todo = await text(".todo");
  expect("… who, and what to type", /handless\/dataplane/.test(todo) && /rekeyd confirm handless\/dataplane/.test(todo), todo);
  expect("… what is rotating", /moving\/dataplane/.test(await text(".rotations")), await text(".rotations"));
  expect("… and what comes next", (await page.$$(".next li")).length > 0);
  const top = await page.evaluate("document.querySelector('.next li').getBoundingClientRect().bottom");
  expect("all of it on the first screen", top < 900, `${top} px`);
  await page.goto(few);
  expect("a fleet with nothing to do is fine", (await text("h1")).includes("Everything is fine."), await text("h1"));
  await page.goto(`${ten}tenants/moving`);
  expect("a rotation shows the phase of now", (await text(".phases [aria-current=step]")).startsWith("soaking"), await text(".phases"));
  expect("… the instants of those before", (await page.$$(".phases .done time")).length === 4, await text(".phases"));
  expect("… and how it came there", /proven to work/.test(await text(".history")), await text(".history"));
  await page.close();
}

async function withoutScripts(browser) {
  const { page, wrong } = await open(browser, LOOKS[2], false);
  await page.goto(many);
  await page.type("#q", "tenant-0900");
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
  const rows = await page.$$(".rows tbody tr");
  expect("without JavaScript the search finds", rows.length === 10 && page.url().includes("q=tenant-0900"), `${rows.length} ${page.url()}`);
  await page.goto(many);
  for (const [rel, expected] of [["next", "page 2 of"], ["next", "page 3 of"], ["prev", "page 2 of"]]) {
    await Promise.all([page.waitForNavigation(), page.$eval(`a[rel=${rel}]`, (link) => link.click())]);
    const turning = await page.$eval(".turning", (element) => element.textContent);
    expect(`… ${rel} turns the page`, turning.includes(expected), turning);
  }
  await Promise.all([page.waitForNavigation(), page.$eval(".rows tbody a", (link) => link.click())]);
  expect("… a name leads to its tenant", page.url().includes("/tenants/tenant-"), page.url());
  tell("… and nothing goes wrong", wrong);
  await page.close();
}

async function byKeyboard(browser) {
  const { page } = await open(browser, LOOKS[0]);
  await page.goto(ten);
  const names = [], blind = [];
  for (let step = 0; step < 25; step += 1) {
    await page.keyboard.press("Tab");
    const focus = await page.evaluate(`(() => { const e = document.activeElement, s = getComputedStyle(e), b = e.getBoundingClientRect();
      return { name: (e.textContent || e.id || e.tagName).trim(), outline: s.outlineStyle !== "none", seen: b.width > 1 && b.left >= 0 }; })()`);
    names.push(focus.name);
    if (!focus.outline || !focus.seen) blind.push(focus.name);
  }
  expect("the first key press leads past the head", names[0] === "To the content", names[0]);
  tell("whatever has the focus shows it", blind);
  expect("the search is reached", names.some((name) => name === "q"), names.join(", "));
  await page.close();
}

(async () => {
  const browser = await puppeteer.launch({
    executablePath: "/usr/bin/chromium",
    headless: true,
    userDataDir: path.join(work, "profile"),
    // As root Chromium starts without its sandbox only; it sees nothing but the pages of this suite.
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  try {
    console.log(`  ${await browser.version()}, axe-core ${require("axe-core/package.json").version}`);
    for (const place of PAGES) for (const look of LOOKS) await judge(browser, place, look);
    await isAwake(browser);
    await says(browser);
    await withoutScripts(browser);
    await byKeyboard(browser);
  } catch (error) {
    tell("the suite runs to its end", [error.stack]);
  } finally {
    await browser.close();
  }
  fs.writeFileSync(path.join(work, "result"), `${passed} ${failed} ${pictures}\n`);
})();
