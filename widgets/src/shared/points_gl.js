// Many points by WebGL 2. All maps of a page share one context, whichever bundle they come from (browsers allow 8 to 16 of them); each gets its picture as an image.
// The context may be lost at any time (a sleeping laptop, a driver's update): maps are told, draw without it, and are told again when it is back.

const SHARED = Symbol.for("astrofuse-lab.points.1");

const PLACE = `#version 300 es
precision highp float;
layout(location = 0) in vec2 from;
layout(location = 1) in vec2 to;
layout(location = 2) in vec4 ink;
layout(location = 3) in uint state;
uniform vec2 centre, scale;
uniform float glide, size, alpha;
uniform uint wanted;
out vec4 colour;
void main() {
  colour = vec4(ink.rgb, alpha);
  gl_PointSize = size;
  gl_Position = (state & 3u) == wanted ? vec4((mix(from, to, glide) - centre) * scale, 0.0, 1.0) : vec4(2.0, 2.0, 2.0, 1.0);
}`;

const DOT = `#version 300 es
precision highp float;
in vec4 colour;
uniform float size;
out vec4 ink;
void main() {
  float edge = size < 4.0 ? 1.0 : clamp((0.5 - length(gl_PointCoord - 0.5)) * size, 0.0, 1.0);
  ink = vec4(colour.rgb, 1.0) * (colour.a * edge);
}`;

const SHEET = `#version 300 es
out vec2 at;
void main() {
  vec2 corner = vec2(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0);
  at = vec2(corner.x * 0.5 + 0.5, 0.5 - corner.y * 0.5);
  gl_Position = vec4(corner, 0.0, 1.0);
}`;

const PICTURE = `#version 300 es
precision mediump float;
in vec2 at;
uniform sampler2D sheet;
out vec4 ink;
void main() { ink = texture(sheet, at); }`;

class Renderer {
  constructor() {
    this.canvas = new OffscreenCanvas(1, 1);
    this.layers = new Set();
    this.lost = false;
    this.broken = "";
    this.gl = this.canvas.getContext("webgl2", { alpha: true, antialias: false, depth: false, stencil: false, premultipliedAlpha: true, powerPreference: "high-performance" });
    if (!this.gl) return;
    /** @type {[string, (event: Event) => void][]} */
    this.hears = [
      ["webglcontextlost", (event) => {
        event.preventDefault(); // else it is never given back
        this.lost = true;
        this.tell();
      }],
      ["webglcontextrestored", () => {
        this.lost = false;
        this.prepare();
        for (const layer of this.layers) layer.buffers = null;
        this.tell();
      }],
    ];
    for (const [name, call] of this.hears) this.canvas.addEventListener(name, call);
    this.prepare();
  }

  tell() {
    for (const layer of this.layers) layer.changed();
  }

  program(vertex, fragment) {
    const { gl } = this;
    const program = gl.createProgram();
    for (const [kind, text] of /** @type {[number, string][]} */ ([[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]])) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    const at = {};
    // a driver that cannot do it is worked around by drawing without it; a context that is lost links nothing and will be back
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) this.broken = gl.getProgramInfoLog(program) || "not linked";
    for (let k = 0; k < (gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS) || 0); k++) {
      const { name } = gl.getActiveUniform(program, k);
      at[name] = gl.getUniformLocation(program, name);
    }
    return { program, at };
  }

  prepare() {
    const { gl } = this;
    this.dots = this.program(PLACE, DOT);
    this.sheet = this.program(SHEET, PICTURE);
    this.nothing = gl.createVertexArray();
    this.texture = gl.createTexture();
  }

  /** A fresh picture of so many pixels. */
  start(width, height) {
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
    const { gl } = this;
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  points(layer, view, { glide, size, alpha, wanted, ranges }) {
    const { gl } = this;
    const { program, at } = this.dots;
    gl.useProgram(program);
    gl.bindVertexArray(layer.buffers.array);
    gl.uniform2f(at.centre, view.x, view.y);
    gl.uniform2f(at.scale, (2 * view.scale) / view.width, (2 * view.scale) / view.height);
    gl.uniform1f(at.glide, glide);
    gl.uniform1f(at.size, size);
    gl.uniform1f(at.alpha, alpha);
    gl.uniform1ui(at.wanted, wanted);
    for (let k = 0; k < ranges.length; k += 2) gl.drawArrays(gl.POINTS, ranges[k], ranges[k + 1] - ranges[k]);
  }

  /** A picture of the same size, made elsewhere, laid over what is there. @param {ImageData} image */
  lay(image) {
    const { gl } = this;
    gl.useProgram(this.sheet.program);
    gl.bindVertexArray(this.nothing);
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, image.width, image.height, 0, gl.RGBA, gl.UNSIGNED_BYTE, image.data);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
    for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  end() {
    for (const [name, call] of this.hears || []) this.canvas.removeEventListener(name, call);
    this.gl?.getExtension("WEBGL_lose_context")?.loseContext(); // given back at once, not when memory is next tidied
    this.canvas.width = this.canvas.height = 1;
    this.gl = null;
  }
}

/** One map's points on the graphics card. */
class Layer {
  constructor(renderer, changed) {
    this.renderer = renderer;
    this.changed = changed;
    this.n = 0;
    this.from = this.to = null;
    this.ink = this.state = null;
    this.buffers = null;
    this.stale = new Set();
    renderer.layers.add(this);
  }

  get ready() {
    return Boolean(this.renderer.gl) && !this.renderer.lost && !this.renderer.broken && !this.renderer.gl.isContextLost();
  }

  /** @param {Float32Array} to @param {Float32Array} from */
  place(to, from) {
    if (this.n !== to.length >> 1) this.drop();
    Object.assign(this, { to, from, n: to.length >> 1 });
    this.stale.add("to").add("from");
  }

  /** @param {Uint8Array} ink red, green, blue and nothing for each point */
  colours(ink) {
    this.ink = ink;
    this.stale.add("ink");
  }

  /** @param {Uint8Array} state bit 0: drawn, bit 1: selected */
  states(state) {
    this.state = state;
    this.stale.add("state");
  }

  /** Send what changed. */
  load() {
    const { gl } = this.renderer;
    if (!this.buffers) {
      this.buffers = { array: gl.createVertexArray(), to: gl.createBuffer(), from: gl.createBuffer(), ink: gl.createBuffer(), state: gl.createBuffer() };
      this.stale = new Set(["to", "from", "ink", "state"]);
    }
    const { buffers } = this;
    gl.bindVertexArray(buffers.array);
    for (const name of this.stale) {
      const same = name === "from" && this.from === this.to; // nothing glides: one copy
      gl.bindBuffer(gl.ARRAY_BUFFER, same ? buffers.to : buffers[name]);
      if (!same) gl.bufferData(gl.ARRAY_BUFFER, this[name], gl.DYNAMIC_DRAW);
      const place = { from: 0, to: 1, ink: 2, state: 3 }[name];
      gl.enableVertexAttribArray(place);
      if (name === "ink") gl.vertexAttribPointer(2, 4, gl.UNSIGNED_BYTE, true, 0, 0);
      else if (name === "state") gl.vertexAttribIPointer(3, 1, gl.UNSIGNED_BYTE, 0, 0);
      else gl.vertexAttribPointer(place, 2, gl.FLOAT, false, 0, 0);
    }
    this.stale.clear();
  }

  /**
   * A picture of the points; null where none can be made now.
   * @param {{x: number, y: number, scale: number, width: number, height: number}} view
   * @param {{dpr: number, size: number, any: boolean, glide: number, ranges: number[]}} how `ranges`: from and up to, in turn, of the points that may be in view
   * @returns {ImageBitmap | null}
   */
  draw(view, { dpr, size, any, glide, ranges }) {
    if (!this.ready || !this.n || !this.ink || !this.state) return null;
    const { renderer } = this;
    this.load();
    renderer.start(Math.round(view.width * dpr), Math.round(view.height * dpr));
    for (const [wanted, alpha] of any ? [[1, 0.22], [3, 0.95]] : [[1, 0.85]]) renderer.points(this, view, { glide, size: size * dpr, alpha, wanted, ranges });
    return this.picture();
  }

  /** A picture of counts that were made without the graphics card, a pixel a cell, since the page stretches it; null where that cannot be made now. @param {ImageData[]} sheets @returns {ImageBitmap | null} */
  counts(sheets) {
    if (!this.ready) return null;
    const { renderer } = this;
    renderer.start(sheets[0].width, sheets[0].height);
    for (const image of sheets) renderer.lay(image);
    return this.picture();
  }

  picture() {
    const { renderer } = this;
    return renderer.gl.isContextLost() ? null : renderer.canvas.transferToImageBitmap();
  }

  drop() {
    const { gl } = this.renderer;
    if (this.buffers && this.ready) {
      gl.deleteVertexArray(this.buffers.array);
      for (const name of ["to", "from", "ink", "state"]) gl.deleteBuffer(this.buffers[name]);
    }
    this.buffers = null;
  }

  end() {
    this.drop();
    const { renderer } = this;
    renderer.layers.delete(this);
    if (renderer.layers.size) return;
    renderer.end();
    if (globalThis[SHARED] === renderer) delete globalThis[SHARED];
  }
}

/** Room for one map in the page's one context; `changed` is called when the context is lost or back. @param {() => void} changed */
export function pointLayer(changed) {
  globalThis[SHARED] ??= new Renderer();
  return new Layer(globalThis[SHARED], changed);
}
