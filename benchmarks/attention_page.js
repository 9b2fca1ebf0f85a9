// Put into the page before anything else runs: notes when there is a picture, when a head is there in full resolution,
// what came through sockets until then, and how long a frame's work takes. Times are milliseconds since the epoch, as the
// kernel's clock gives them.

const ROOT = ".llm-attention-explorer";
const now = () => performance.timeOrigin + performance.now();
const measured = (window.measured = { first: 0, whole: 0, heads: [], received: [], frames: [] });

const Socket = window.WebSocket;
window.WebSocket = class extends Socket {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", ({ data }) => measured.received.push([now(), data.byteLength ?? data.size ?? data.length]));
  }
};

const map = () => document.querySelector(`${ROOT} .llm-view-map .llm-map`);
const shown = () => map()?.dataset.head ?? "";
const is_whole = () => document.querySelector(`${ROOT} .llm-heads[data-whole='true']`) !== null;
const next_frame = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = (callback) =>
  next_frame((time) => {
    const before = shown();
    const start = performance.now();
    callback(time);
    const scripted = performance.now() - start;
    const head = shown();
    if (!measured.first && Number(map()?.dataset.pieces) > 0 && (head || is_whole())) measured.first = now();
    if (!measured.whole && is_whole()) measured.whole = now();
    if (head === before || !head) return;
    map().getContext("2d").getImageData(0, 0, 1, 1); // until the pixels are there, not only the commands
    measured.frames.push({ head, script_ms: scripted, pixels_ms: performance.now() - start });
    measured.heads.push([now(), head]);
  });

window.begin = () => Object.assign(measured, { first: 0, whole: 0, heads: [], received: [], frames: [] });

/** Bytes that came from the kernel's side until `until`. */
window.bytes_until = (until) => measured.received.reduce((sum, [at, bytes]) => sum + (at <= until ? bytes : 0), 0);

/** Milliseconds from a click on head number `place` until its map's pixels are there. */
window.click_head = (place, key) =>
  new Promise((resolve, reject) => {
    const start = now();
    window.setTimeout(() => reject(new Error(`${key} was not drawn in 60 s`)), 60000);
    const look = () => {
      const drawn = measured.heads.find(([at, head]) => at >= start && head === key);
      if (drawn) resolve(drawn[0] - start);
      else window.setTimeout(look, 2);
    };
    document.querySelector(`${ROOT} .llm-cells [data-place='${place}']`).click();
    look();
  });

/** Zooms in and out with the wheel, a step a frame, for so many seconds: frames in which the map changed, and their gaps. */
window.zoom_for = (seconds) =>
  new Promise((resolve) => {
    const canvas = map();
    const box = canvas.getBoundingClientRect();
    canvas.focus({ preventScroll: true });
    const [start, gaps, smallest] = [performance.now(), [], Number(canvas.dataset.cell)];
    let [last, inwards, cell, frames] = [start, true, canvas.dataset.cell, 0];
    const step = () => {
      const time = performance.now();
      if (time > start) gaps.push(time - last);
      last = time;
      if (canvas.dataset.cell !== cell) frames += 1;
      cell = canvas.dataset.cell;
      if (time - start > seconds * 1000) return resolve({ frames_s: (1000 * frames) / (time - start), gaps });
      if (Number(cell) > 40) inwards = false;
      if (Number(cell) < 1.2 * smallest) inwards = true;
      const at = { clientX: box.left + box.width * 0.63, clientY: box.top + box.height * 0.41 };
      canvas.dispatchEvent(new WheelEvent("wheel", { ...at, deltaY: inwards ? -25 : 25, bubbles: true, cancelable: true }));
      next_frame(step);
    };
    next_frame(step);
  });
