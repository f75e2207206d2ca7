// The fixed parts of the page. Only constants go through innerHTML here; names from users are set as textContent.

const MODES = [
  ["split", "Split", "S", '<path d="M12 3v18M3 5h18v14H3z"/><path class="solid" d="M12 5h9v14h-9z"/>'],
  ["grid", "Grid", "G", '<path d="M3 3h7.5v7.5H3zM13.5 3H21v7.5h-7.5zM3 13.5h7.5V21H3zM13.5 13.5H21V21h-7.5z"/>'],
  ["blink", "Blink", "B", '<path d="M2 12s4-7 10-7 10 7 10 7-4 7-10 7-10-7-10-7z"/><circle cx="12" cy="12" r="3"/>'],
  ["difference", "Difference", "D", '<circle cx="9" cy="12" r="6.5"/><circle cx="15" cy="12" r="6.5"/>'],
  ["loupe", "Loupe", "L", '<circle cx="10.5" cy="10.5" r="7"/><path d="M16 16l5 5"/>'],
]
const GAINS = [1, 2, 4, 8, 16, 32]
const RATES = [0.5, 1, 2]

const HELP = [
  ["S G B D L", "split, grid, blink, difference, loupe"],
  ["0 1 2 4", "fit, 100 %, 200 %, 400 %"],
  ["+ −", "zoom in and out; the wheel, a pinch or a double click zoom where you point"],
  ["← →", "move the divider by 1 % (with Shift by 10 %), Home and End to the edges"],
  ["← ↑ ↓ →", "move the picture, where there is no divider or once Tab has reached the picture"],
  ["[ ]", "previous and next result on the right"],
  ["X", "swap left and right"],
  [", . P", "previous and next frame of a timeline, play and pause"],
  ["Space", "in blink mode: hold to see the other image"],
  ["F", "full screen"],
  ["?", "this help; Esc closes it"],
]

const icon = (paths) => `<svg viewBox="0 0 24 24" aria-hidden="true">${paths}</svg>`

const MARKUP = `<div class="gw" tabindex="0" role="group" aria-label="Image comparison. Press question mark for the keys.">
  <div class="bar" role="toolbar" aria-label="Viewer tools" inert>
    <div class="seg modes" role="group" aria-label="View">${MODES.map(
      ([id, name, key, paths]) =>
        `<button type="button" data-mode="${id}" aria-pressed="false" title="${name} (${key})" aria-label="${name}"
          aria-keyshortcuts="${key}">${icon(paths)}<span>${name}</span></button>`,
    ).join("")}</div>
    <button type="button" class="swap icon" title="Swap left and right (X)" aria-label="Swap left and right">
      ${icon('<path d="M4 8h15M15 4l4 4-4 4M20 16H5M9 12l-4 4 4 4"/>')}</button>
    <div class="seg zooms" role="group" aria-label="Zoom">
      <button type="button" data-zoom="0" title="Fit the image (0)">Fit</button>
      <button type="button" data-zoom="1" title="100 %: one image pixel on one screen pixel (1)">1:1</button>
      <button type="button" data-zoom="2" title="200 % (2)">2×</button>
      <button type="button" data-zoom="4" title="400 % (4)">4×</button>
    </div>
    <div class="seg" role="group" aria-label="Zoom step">
      <button type="button" class="out" title="Zoom out (−)" aria-label="Zoom out">−</button>
      <output class="percent" aria-label="Zoom now" aria-live="off">–</output>
      <button type="button" class="in" title="Zoom in (+)" aria-label="Zoom in">+</button>
    </div>
    <div class="seg">
      <button type="button" class="full icon" title="Full screen (F)" aria-label="Full screen" aria-pressed="false">
        ${icon('<path d="M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5"/>')}</button>
      <button type="button" class="ask icon" title="Keys (?)" aria-label="Keys and help" aria-expanded="false">?</button>
    </div>
  </div>
  <div class="stage">
    <div class="main" role="img" tabindex="0"></div>
    <div class="panes" hidden></div>
    <div class="divider" hidden role="slider" tabindex="0" aria-label="Divider between the two images"
      aria-orientation="horizontal" aria-valuemin="0" aria-valuemax="100" aria-valuenow="50">
      <i>${icon('<path d="M9 7l-5 5 5 5M15 7l5 5-5 5"/>')}</i></div>
    <div class="who who-a" hidden><div class="tag tag-a"></div><select class="left" aria-label="Left image"></select></div>
    <div class="who who-b" hidden><div class="tag tag-b"></div><select class="right" aria-label="Right image"></select></div>
    <div class="dock difference" role="group" aria-label="Difference" hidden>
      <div class="seg">
        <button type="button" data-signed="" title="How much the two differ: black where they are equal">|A − B|</button>
        <button type="button" data-signed="1" title="Signed: grey where they are equal, brighter where the left one is">A − B</button>
      </div>
      <select class="gain" aria-label="Gain of the difference" title="Gain: multiplies the difference">${GAINS.map(
        (gain) => `<option value="${gain}">×${gain}</option>`,
      ).join("")}</select>
    </div>
    <div class="dock blinker" role="group" aria-label="Blink" hidden>
      <button type="button" class="hold" title="Hold (Space)">Hold to compare</button>
      <button type="button" class="auto" aria-pressed="false">Auto</button>
      <select class="rate" aria-label="Changes per second">${RATES.map(
        (rate) => `<option value="${rate}">${rate} / s</option>`,
      ).join("")}</select>
    </div>
    <div class="lens" hidden><canvas></canvas></div>
    <div class="strip" hidden></div>
    <p class="note" hidden></p>
    <div class="help" role="dialog" aria-modal="true" aria-label="Keys" hidden>
      <div><h2>Keys<button type="button" class="close">Close</button></h2><dl>${HELP.map(
        ([keys, text]) => `<dt>${keys.split(" ").map((key) => `<kbd>${key}</kbd>`).join(" ")}</dt><dd>${text}</dd>`,
      ).join("")}</dl></div>
    </div>
  </div>
  <div class="reel" role="group" aria-label="Timeline" hidden>
    <button type="button" class="play icon" title="Play (P)" aria-label="Play" aria-pressed="false">
      ${icon('<path class="go" d="M8 5l11 7-11 7z"/><path class="stop" d="M8 5v14M16 5v14"/>')}</button>
    <input type="range" class="scrub" min="0" step="1" aria-label="Frame">
    <output class="frame" aria-live="off"></output>
  </div>
  <p class="refused" role="status" hidden></p>
  <div class="status"><span class="where">Point at the image to read its pixel values</span><span class="values"></span></div>
  <div class="live" aria-live="polite"></div>
</div>`

function element(tag, className, text) {
  const node = document.createElement(tag)
  if (className) node.className = className
  if (text !== undefined) node.textContent = text
  return node
}

const named = (layer) => (layer.subtitle ? `${layer.title} · ${layer.subtitle}` : layer.title)

// What an image is, over its corner: a name, and a value such as "31.2 dB".
function label(tag, layer) {
  tag.replaceChildren(element("b", "", layer.title))
  if (layer.subtitle) tag.append(element("span", "", layer.subtitle))
}
