"""The style sheet and the one script of ``report.html``, both inline in the page."""

STYLE = """
:root { color-scheme: light dark;
  --page: #fbfaf8; --card: #ffffff; --ink: #1d1c1a; --soft: #6b6760; --line: #e6e2da;
  --c0: #2f6fb5; --c1: #c4572b; --c2: #4d8a4b; --c3: #8a5aa8; }
@media (prefers-color-scheme: dark) { :root {
  --page: #161615; --card: #1f1f1d; --ink: #ecebe7; --soft: #9c978d; --line: #34332f;
  --c0: #74aaea; --c1: #ee8e62; --c2: #85c182; --c3: #c096dc; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 48px 24px 72px; }
h1 { font-size: 2.1rem; line-height: 1.15; margin: 0 0 12px; letter-spacing: -.02em; }
h2 { font-size: 1.2rem; margin: 48px 0 12px; letter-spacing: -.01em; }
h3 { font-size: .95rem; margin: 0 0 4px; font-weight: 600; }
.chapter { margin-top: 64px; padding-top: 8px; border-top: 1px solid var(--line); }
.chapter h2 { font-size: 1.6rem; margin: 24px 0 12px; letter-spacing: -.015em; }
.chapter h2 span { color: var(--soft); font-weight: 400; margin-right: 4px; }
.chapter > h3 { font-size: 1.05rem; margin: 36px 0 12px; }
.contents { display: flex; flex-wrap: wrap; gap: 4px 20px; font-size: .9375rem; }
.contents a { color: var(--c0); text-decoration: none; }
.contents a:hover { text-decoration: underline; }
p { margin: 0 0 12px; max-width: 68ch; }
.intro { font-size: 1.08rem; color: var(--soft); }
.tiles { display: grid; gap: 12px; margin: 28px 0 0;
  grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }
.tiles div, .card { background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; padding: 14px 16px; }
.tiles b { display: block; font-size: 1.45rem; line-height: 1.25; font-weight: 620;
  font-variant-numeric: tabular-nums; letter-spacing: -.01em; }
.tiles span, figcaption, .none, .note { color: var(--soft); font-size: .875rem; }
.headline { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 14px;
  margin: 24px 0 0; max-width: none; font-size: 1.08rem; color: var(--soft); }
.headline b { font-size: 3.4rem; line-height: 1.1; font-weight: 640; color: var(--c0);
  font-variant-numeric: tabular-nums; letter-spacing: -.03em; }
.two { display: grid; gap: 16px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); }
figure { margin: 0; } figcaption { margin-top: 8px; }
img { display: block; width: 100%; height: auto; border-radius: 6px; }
img.sheet { width: auto; max-width: 100%; }
.tiles + .two { margin-top: 28px; }
img.small { image-rendering: pixelated; }
.film .stage { display: grid; grid-template-columns: minmax(0, 460px) 1fr;
  gap: 24px; align-items: center; }
.film .stage b { display: block; font-size: 1.45rem; font-weight: 620;
  font-variant-numeric: tabular-nums; }
.film input { width: 100%; margin: 12px 0 0; accent-color: var(--c0); }
.strip { display: grid; grid-auto-flow: column; grid-auto-columns: minmax(68px, 1fr);
  gap: 8px;
  overflow-x: auto; margin-top: 16px; padding-bottom: 6px; }
.strip button { all: unset; cursor: pointer; font-size: .75rem; color: var(--soft);
  text-align: center; }
.strip button span { display: block; aspect-ratio: 1; border-radius: 6px;
  border: 2px solid transparent; background-size: 200%; background-clip: padding-box; }
.strip button[aria-current=true] span { border-color: var(--c0); }
.strip button:focus-visible span { outline: 2px solid var(--c1); }
svg.curve { display: block; width: 100%; height: auto; }
svg text { font-size: 11.5px; fill: var(--soft); font-variant-numeric: tabular-nums; }
svg .grid { stroke: var(--line); fill: none; }
svg polyline { fill: none; stroke: currentColor; stroke-width: 1.8;
  stroke-linejoin: round; }
svg circle { fill: currentColor; }
.s0 { color: var(--c0); } .s1 { color: var(--c1); }
.s2 { color: var(--c2); } .s3 { color: var(--c3); }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 0 0 6px;
  font-size: .8125rem; }
.legend i { display: inline-block; width: 10px; height: 10px; border-radius: 3px;
  background: currentColor; margin-right: 6px; }
.legend b { color: var(--ink); font-weight: 600; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; }
th, td { text-align: left; vertical-align: top; padding: 4px 12px 4px 0;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { font-weight: 500; color: var(--soft); width: 42%; }
tr:last-child th, tr:last-child td { border-bottom: 0; }
details > summary { cursor: pointer; font-weight: 600; }
details[open] > summary { margin-bottom: 10px; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 10px 14px; overflow-x: auto; margin: 6px 0 16px;
  font: .84rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre.wrap { white-space: pre-wrap; overflow-wrap: anywhere; }
ol { padding-left: 1.3em; } li { margin-bottom: 6px; }
footer { margin-top: 56px; color: var(--soft); font-size: .8125rem; }
@media (max-width: 640px) { .film .stage { grid-template-columns: 1fr; } }
@media print { .film input { display: none; } body { background: none; } }
"""

# Moves the film: the slider and the strip choose which grid is on the stage.
SCRIPT = """
for (const film of document.querySelectorAll('.film')) {
  const slider = film.querySelector('input'), stage = film.querySelector('.stage img');
  const label = film.querySelector('.stage b');
  const frames = [...film.querySelectorAll('.strip button')];
  const show = i => {
    slider.value = i;
    stage.src = frames[i].dataset.picture; label.textContent = frames[i].dataset.label;
    frames.forEach((f, j) => f.setAttribute('aria-current', i === j));
  };
  for (const frame of frames) {
    const picture = frame.querySelector('span');
    frame.dataset.picture = getComputedStyle(picture).backgroundImage.slice(5, -2);
  }
  frames.forEach((f, i) => f.onclick = () => show(i));
  slider.oninput = () => show(+slider.value);
  slider.hidden = false;
  show(frames.length - 1);
}
"""
