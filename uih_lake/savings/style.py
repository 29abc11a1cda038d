"""The style sheet of the page: light and dark, in colours that the colour-blind tell apart."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --ground: #ffffff; --ink: #1b1f24; --faint: #5a6470;
  --grid: #e2e6ea; --rule: #1b1f24; --box: #f5f7f9;
  --s0: #0072b2; --s1: #d55e00; --s2: #1f4d2b; --s3: #8f4a79;
  --pays: #0072b2; --loses: #d55e00; --shade: 1; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14181d; --ink: #e8ecf0; --faint: #a3adb8; --grid: #2d343c; --rule: #e8ecf0;
    --box: #1d2329; --s0: #56b4e9; --s1: #f0903c; --s2: #b5e8b0; --s3: #b06a98;
    --pays: #56b4e9; --loses: #f0903c; --shade: .77; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 60rem; background: var(--ground);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; padding-top: 1rem;
  border-top: 1px solid var(--grid); }
h3 { font-size: 1rem; margin: 1.75rem 0 .25rem; }
p { margin: .4rem 0; max-width: 46rem; }
.faint { color: var(--faint); }
.verdict { padding: .6rem .9rem; background: var(--box); border-left: 4px solid var(--s0); }
.verdict.no { border-left-color: var(--s1); }
.chart { overflow-x: auto; }
svg { display: block; width: 100%; min-width: 40rem; height: auto; margin: .5rem 0; }
svg text { fill: var(--ink); font: 13px system-ui, sans-serif; }
svg text.small { font-size: 12px; fill: var(--faint); }
svg text.value { font-variant-numeric: tabular-nums; }
svg text.cell { font-size: 12px; font-variant-numeric: tabular-nums; }
.grid { stroke: var(--grid); } .axis { stroke: var(--faint); }
.margin { stroke: var(--ink); stroke-width: 1.5; fill: none; }
.halo { stroke: var(--ground); stroke-width: 4.5; fill: none; }
.rule { stroke: var(--rule); stroke-width: 1.5; stroke-dasharray: 2 3; }
.line { fill: none; stroke-width: 2.25; }
.line.s0 { stroke: var(--s0); } .line.s1 { stroke: var(--s1); }
.line.s2 { stroke: var(--s2); } .line.s3 { stroke: var(--s3); }
.line.dashed { stroke-dasharray: 7 4; }
.fill.s0 { fill: var(--s0); } .fill.s1 { fill: var(--s1); }
.fill.s2 { fill: var(--s2); } .fill.s3 { fill: var(--s3); }
rect.pays { fill: var(--pays); } rect.loses { fill: var(--loses); }
rect.depth1 { fill-opacity: calc(.12 * var(--shade)); }
rect.depth2 { fill-opacity: calc(.26 * var(--shade)); }
rect.depth3 { fill-opacity: calc(.4 * var(--shade)); }
rect.depth4 { fill-opacity: calc(.55 * var(--shade)); }
rect.depth5 { fill-opacity: calc(.7 * var(--shade)); }
svg text.loses { font-weight: 600; }
.key { display: inline-block; width: .9em; height: .9em; margin: 0 .3em 0 .9em;
  vertical-align: -.1em; border-radius: 2px; }
details { margin: .25rem 0 1rem; } summary { cursor: pointer; color: var(--faint); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0; font-size: .875rem; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid var(--grid);
  font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; }
pre { overflow-x: auto; padding: .75rem; background: var(--box); font-size: .8rem; }
"""
