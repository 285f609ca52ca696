/** The whole style of the page. Colours are checked for WCAG AA against both backgrounds. */
export const style = `
:root { color-scheme: light dark;
  --bg: #ffffff; --panel: #f6f7f9; --line: #d9dde3; --ink: #1a2028; --soft: #56606c; --accent: #1f5fbf;
  --good: #12703f; --bad: #b3261e; --unsure: #8a5a00; --good-bg: #e6f4ec; --bad-bg: #fbeae9; --unsure-bg: #fdf3df;
  --working: #2f6fd0; --communication: #c2620a; --queueing: #b5306b; --model: #7a4fc4; --tool: #0d7d7d; --ingress: #68727d; }
:root[data-theme=dark] { color-scheme: dark;
  --bg: #11151a; --panel: #1a2027; --line: #323b46; --ink: #e7ebf0; --soft: #a2adb9; --accent: #7fb0ff;
  --good: #6fd39b; --bad: #ff8f86; --unsure: #f0bb5a; --good-bg: #14301f; --bad-bg: #3a1a18; --unsure-bg: #33270f;
  --working: #6aa3ff; --communication: #f39a4a; --queueing: #f17cae; --model: #b795f5; --tool: #4fc4c4; --ingress: #98a3af; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main, header.top { max-width: 1120px; margin: 0 auto; padding: 0 20px; }
header.top { display: flex; gap: 16px; align-items: center; justify-content: space-between; padding-top: 18px; color: var(--soft); font-size: 13px; }
header.top strong { color: var(--ink); }
header.top button { font: inherit; color: var(--soft); background: none; border: 1px solid var(--line); border-radius: 6px; padding: 3px 10px; cursor: pointer; }
h1 { font-size: 26px; line-height: 1.25; margin: 6px 0 10px; letter-spacing: -.01em; text-wrap: balance; }
h2 { font-size: 18px; margin: 44px 0 4px; letter-spacing: -.01em; }
h2 + p.note { margin-top: 0; }
h3 { font-size: 14px; margin: 0 0 8px; color: var(--soft); font-weight: 600; }
p.note, .note { color: var(--soft); font-size: 13.5px; max-width: 78ch; }
p.lead { font-size: 16px; line-height: 1.45; margin: 0 0 10px; max-width: 70ch; }
section.verdict { margin-top: 18px; padding: 22px 24px; border-radius: 12px; background: var(--panel); border: 1px solid var(--line); border-left: 6px solid var(--ingress); }
section.verdict.better { border-left-color: var(--good); } section.verdict.inconclusive { border-left-color: var(--unsure); } section.verdict.nothing-measured { border-left-color: var(--bad); }
.badge { display: inline-block; padding: 1px 9px; border-radius: 999px; font-size: 12.5px; font-weight: 600; border: 1px solid transparent; white-space: nowrap; }
.badge.better, .badge.ok { color: var(--good); background: var(--good-bg); } .badge.worse, .badge.failed { color: var(--bad); background: var(--bad-bg); }
.badge.inconclusive, .badge.pending { color: var(--unsure); background: var(--unsure-bg); } .badge.same, .badge.plain { color: var(--soft); background: none; border-color: var(--line); }
code, pre { font: 13px/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre.apply { margin: 12px 0 0; padding: 10px 12px; background: var(--bg); border: 1px solid var(--line); border-radius: 8px; overflow-x: auto; }
.grid { display: grid; gap: 16px; } .two { grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); } .three { grid-template-columns: repeat(auto-fit, minmax(min(100%, 220px), 1fr)); }
.card { background: var(--panel); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px; min-width: 0; }
.card .big { font-size: 24px; font-weight: 650; letter-spacing: -.02em; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
th, td { text-align: left; padding: 7px 10px; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; white-space: nowrap; } th[data-sort] { cursor: pointer; } th[aria-sort]:after { content: " ↑"; } th[aria-sort=descending]:after { content: " ↓"; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td small { color: var(--soft); display: block; }
tr.winner td { background: var(--good-bg); }
tr.selected td { outline: 2px solid var(--accent); outline-offset: -2px; }
svg { display: block; max-width: 100%; } svg text { fill: var(--ink); font: 12px system-ui, sans-serif; } svg .soft { fill: var(--soft); } svg .axis { stroke: var(--line); }
.bar { display: flex; height: 22px; border-radius: 6px; overflow: hidden; background: var(--line); } .bar span { min-width: 1px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 8px 0 0; font-size: 13px; color: var(--soft); } .legend i { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 6px; }
.kind-working { background: var(--working); } .kind-communication { background: var(--communication); } .kind-queueing { background: var(--queueing); } .kind-model { background: var(--model); } .kind-tool { background: var(--tool); } .kind-ingress { background: var(--ingress); }
.waterfall { font-size: 12.5px; } .waterfall .row { display: grid; grid-template-columns: minmax(120px, 30%) 1fr; gap: 10px; align-items: center; padding: 1px 0; }
.waterfall .row:hover { background: var(--bg); } .waterfall .label { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; } .waterfall .lane { color: var(--soft); }
.waterfall .track { position: relative; height: 14px; } .waterfall .track i { position: absolute; top: 2px; height: 10px; min-width: 2px; border-radius: 2px; opacity: .5; } .waterfall .critical .track i { opacity: 1; } .waterfall .critical .label { font-weight: 600; }
details > summary { cursor: pointer; color: var(--accent); font-size: 13.5px; margin: 10px 0; }
ul.plain { margin: 6px 0; padding-left: 18px; } ul.plain li { margin: 2px 0; }
.pool + .pool { margin-top: 16px; } .pool > header { display: flex; flex-wrap: wrap; gap: 4px 10px; align-items: baseline; margin-bottom: 10px; } .pool > header strong { font-size: 15px; overflow-wrap: anywhere; } .pool table { margin-top: 12px; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(146px, 1fr)); gap: 12px 16px; margin: 0; } .facts div { min-width: 0; } .facts dt { color: var(--soft); font-size: 12.5px; } .facts dd { margin: 0; font-weight: 600; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; } .facts dd small { display: block; font-weight: 400; color: var(--soft); font-size: 12.5px; }
.sparks { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 250px), 1fr)); gap: 14px 20px; margin: 16px 0; } .sparks figure { margin: 0; min-width: 0; } .sparks figcaption { font-size: 12.5px; color: var(--soft); display: flex; justify-content: space-between; gap: 8px; } .sparks svg { width: 100%; height: 72px; }
.share { display: inline-block; width: 64px; height: 8px; border-radius: 4px; background: var(--line); overflow: hidden; vertical-align: middle; margin-right: 6px; } .share i { display: block; height: 100%; background: var(--model); }
footer { margin: 56px 0 32px; color: var(--soft); font-size: 12.5px; }
a { color: var(--accent); }
td.units { min-width: 180px; }
@media (max-width: 560px) { h1 { font-size: 21px; } th, td { padding: 6px; } section.verdict { padding: 16px; } }
@media print { header.top button, details > summary { display: none; } body { font-size: 12px; } .card, section.verdict { break-inside: avoid; } }
`;
