// How `<headwater-player>` looks: what lies in its shadow root.

const icon = (path) => `<svg viewBox="0 0 24 24" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round">${path}</svg>`;

const HTML = `
<div class="box" part="box">
  <video part="video" playsinline aria-label="Live video"></video>
  <div class="veil"><span class="drops" aria-hidden="true"><i></i><i></i><i></i></span><p class="words" role="status"></p></div>
  <button class="big" part="start">${icon('<path d="M8 5.2v13.6L19 12z" fill="currentColor" stroke="none"/>')}<span>Watch</span></button>
  <button class="unmute" part="unmute">${icon('<path d="M4 9.5v5h3.5L12 18.5v-13L7.5 9.5z"/><path d="m16 9.5 5 5M21 9.5l-5 5"/>')}<span>Tap for sound</span></button>
  <div class="controls" part="controls" role="group" aria-label="Player">
    <button class="tool mute" aria-keyshortcuts="m">${icon('<path d="M4 9.5v5h3.5L12 18.5v-13L7.5 9.5z"/><path d="M15.5 9a4.2 4.2 0 0 1 0 6M18.2 6.5a8 8 0 0 1 0 11"/>')}<span class="label">Unmute</span></button>
    <input class="volume" type="range" min="0" max="1" step="0.05" value="0" aria-label="Volume">
    <span class="grow"></span>
    <button class="tool pip">${icon('<rect x="3" y="5" width="18" height="14" rx="2"/><rect x="12" y="11.5" width="6.5" height="5" rx="1" fill="currentColor" stroke="none"/>')}<span class="label">Picture in picture</span></button>
    <button class="tool full" aria-keyshortcuts="f">${icon('<path d="M4 9V5.5A1.5 1.5 0 0 1 5.5 4H9M15 4h3.5A1.5 1.5 0 0 1 20 5.5V9M20 15v3.5a1.5 1.5 0 0 1-1.5 1.5H15M9 20H5.5A1.5 1.5 0 0 1 4 18.5V15"/>')}<span class="label">Full screen</span></button>
  </div>
</div>`;

const CSS = `
:host { display: block; aspect-ratio: 16 / 9; overflow: hidden; font: 16px/1.5 var(--headwater-font, system-ui, sans-serif); }
:host([hidden]) { display: none; }
*, ::before, ::after { box-sizing: border-box; }
[hidden] { display: none !important; }
.box { position: relative; width: 100%; height: 100%; background: #03110f; background: radial-gradient(120% 100% at 50% 0, #0b2b33, #030d10); color: #eef8f8; container-type: inline-size; overflow: hidden; }
.box:fullscreen { height: 100vh; }
video { width: 100%; height: 100%; object-fit: contain; display: block; }
:focus-visible { outline: 2.5px solid #7ce0e0; outline-offset: 2px; border-radius: 6px; }
svg { width: 1.25em; height: 1.25em; flex: none; }
button { font: inherit; font-weight: 600; color: #f2fbfb; border: 1px solid transparent; border-radius: 10px; display: inline-flex; align-items: center; justify-content: center; gap: 0.5rem; cursor: pointer; white-space: nowrap; }
.big { position: absolute; left: 50%; top: 50%; transform: translate(-50%, -50%); background: var(--headwater-accent, #0a7c87); min-height: 3.5rem; padding: 0.5rem 1.9rem 0.5rem 1.5rem; font-size: 1.1rem; border-radius: 99px; display: none; }
.big:hover { filter: brightness(1.15); }
:host([controls]) :is([data-state="idle"], [data-state="stopped"], [data-state="failed"]) .big { display: inline-flex; }
.unmute { position: absolute; right: 1rem; top: 1rem; min-height: 2.75rem; padding: 0.4rem 1rem; font-size: 0.95rem; background: rgb(3 17 20 / 82%); border-color: rgb(255 255 255 / 45%); border-radius: 99px; display: none; }
.unmute:hover, .tool:hover { background: #0a5c66; }
:host([controls]) [data-state="live"][data-muted="true"] .unmute { display: inline-flex; }
.controls { position: absolute; inset: auto 0 0; display: none; align-items: center; gap: 0.4rem; padding: 2.2rem 0.7rem 0.6rem; background: linear-gradient(transparent, rgb(0 0 0 / 72%)); opacity: 0; transition: opacity 150ms; }
:host([controls]) .controls { display: flex; }
.box:hover .controls, .box:focus-within .controls { opacity: 1; }
.tool { background: transparent; padding: 0.3rem 0.7rem; min-height: 2.5rem; font-size: 0.875rem; }
.controls input { width: 6.5rem; accent-color: #56d0d3; }
.grow { flex: 1; }
.veil { position: absolute; inset: 0; display: none; place-content: center; justify-items: center; background: rgb(3 17 20 / 62%); gap: 1.2rem; pointer-events: none; padding: 1rem; text-align: center; }
.veil p { margin: 0; }
.drops { display: flex; gap: 0.7rem; }
.drops i { width: 0.85rem; height: 0.85rem; border-radius: 50%; background: #7ce0e0; animation: swell 1.6s ease-in-out infinite; }
.drops i:nth-child(2) { animation-delay: 0.2s; }
.drops i:nth-child(3) { animation-delay: 0.4s; }
:is([data-state="connecting"], [data-state="waiting"], [data-state="reconnecting"], [data-state="failed"]) .veil { display: grid; }
[data-state="failed"] .veil { place-content: end center; padding-bottom: 1.4rem; }
[data-state="failed"] .drops { display: none; }
@keyframes swell { 50% { transform: translateY(-0.5rem); opacity: 0.45; } }
@media (hover: none) { .controls { opacity: 1; } }
@container (max-width: 640px) {
  .tool .label { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .tool { min-width: 2.75rem; }
  .controls input { display: none; }
}
@media (prefers-reduced-motion: reduce) { *, ::before, ::after { animation: none !important; transition: none !important; } }
`;

/** Fills a shadow root; returns its parts by name. */
export function frame(root) {
  // A constructed sheet needs no leave from the page's content security policy.
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(CSS);
  root.adoptedStyleSheets = [sheet];
  root.innerHTML = HTML;
  const names = ['box', 'words', 'big', 'unmute', 'mute', 'volume', 'pip', 'full'];
  const parts = Object.fromEntries(names.map((name) => [name, root.querySelector(`.${name}`)]));
  return { ...parts, video: root.querySelector('video') };
}
