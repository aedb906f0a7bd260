// Holds the dashboard against the types that Grafana publishes (npm @grafana/schema): its frame against `Dashboard`, the options and
// the custom part of each panel against those of its own kind, also the keys that there are none of. A misspelt key or value is found,
// and it is seen that a planted one is. What only a browser shows is not: nothing here draws.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const tools = process.env.TOOLS;
const board = JSON.parse(readFileSync("deploy/grafana/rekeyd.json", "utf8"));
const kinds = { stat: "Stat", table: "Table", timeseries: "TimeSeries", "state-timeline": "StateTimeline", bargauge: "BarGauge" };
const withCustom = ["table", "timeseries", "state-timeline"];

function source(board) {
  const lines = [
    'import type * as S from "@grafana/schema";',
    // As JSON has them: the text of an enumeration is as good as its name. Grafana fills in what is left out at the first level.
    "type Json<T> = T extends string ? `${T}` : T extends (infer U)[] ? Json<U>[]",
    "  : T extends object ? { [K in keyof T]: Json<T[K]> } : T;",
    "type Some<T> = Partial<Json<T>>;",
    // Three places where the published types are not what Grafana writes: links of a panel are a title and an address only, and what
    // Prometheus as a data source adds to an annotation is not in them.
    "type Panel = Omit<Json<S.Panel>, 'links'> & { links: { title: string; url: string; targetBlank: boolean }[] };",
    "type Annotation = Omit<Json<S.AnnotationQuery>, 'target'> & { target: { refId: string; expr: string };",
    "  titleFormat: string; textFormat: string; useValueForTime?: boolean };",
    "type Board = Omit<Json<S.Dashboard>, 'panels' | 'annotations'> & { panels: (Panel | Json<S.RowPanel>)[];",
    "  annotations: { list: Annotation[] } };",
  ];
  for (const kind of Object.values(kinds)) {
    const path = `@grafana/schema/dist/esm/raw/composable/${kind.toLowerCase()}/panelcfg/x/${kind}PanelCfg_types.gen`;
    lines.push(`import type * as ${kind} from "${path}";`);
  }
  lines.push(`export const board: Board = ${JSON.stringify(board)};`);
  for (const panel of board.panels.filter((panel) => panel.type !== "row")) {
    const kind = kinds[panel.type];
    if (!kind) throw new Error(`${panel.title}: \`${panel.type}\` is no kind that is known here`);
    lines.push(`export const panel${panel.id}: Panel = ${JSON.stringify(panel)};`);
    lines.push(`export const options${panel.id}: Some<${kind}.Options> = ${JSON.stringify(panel.options)};`);
    const custom = panel.fieldConfig.defaults.custom;
    if (withCustom.includes(panel.type)) {
      lines.push(`export const custom${panel.id}: Some<${kind}.FieldConfig> = ${JSON.stringify(custom)};`);
    } else if (custom) throw new Error(`${panel.title}: \`custom\` means nothing to it`);
  }
  return `${lines.join("\n")}\n`;
}

// What the compiler says, empty where it is content.
function problems(board) {
  writeFileSync(join(tools, "board.ts"), source(board));
  const options = "--noEmit --strict --moduleResolution bundler --module esnext --target es2022 --skipLibCheck".split(" ");
  try {
    execFileSync(join(tools, "node_modules/.bin/tsc"), [...options, "board.ts"], { cwd: tools, encoding: "utf8" });
    return "";
  } catch (failure) {
    return failure.stdout || String(failure);
  }
}

let passed = 0, failed = 0;
function expect(what, is, said = "") {
  console.log(`  ${is ? "ok   " : "FAIL "} ${what}`);
  if (is) passed += 1;
  else { failed += 1; console.log(said.slice(0, 3000)); }
}
const said = problems(board);
expect("the dashboard is what Grafana's types want", said === "", said);
// Each of these would be a mistake; the types must notice.
const mistakes = {
  "a text for a height": (board) => { board.panels[1].gridPos.h = "4"; },
  "a misspelt key of a panel": (board) => { board.panels[1].titel = "x"; },
  "a colour mode that there is none of": (board) => { board.panels[1].options.colorMode = "loud"; },
  "a misspelt option": (board) => { board.panels[1].options.textmode = "name"; },
  "a way to draw that there is none of": (board) => {
    board.panels.find((panel) => panel.type === "timeseries").fieldConfig.defaults.custom.drawStyle = "saw";
  },
};
for (const [what, plant] of Object.entries(mistakes)) {
  const copy = structuredClone(board);
  plant(copy);
  expect(`${what} is found`, problems(copy) !== "");
}
console.log(`dashboard: ${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
