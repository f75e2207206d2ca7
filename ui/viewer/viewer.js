// The viewer itself: state, toolbar, keys, and the messages to and from Streamlit.

const GRID_MOST = 6
const START = { mode: "split", left: null, right: null, split: 0.5, gain: 4 }
class Viewer {
  constructor(host) {
    const template = element("template")
    template.innerHTML = MARKUP
    this.root = template.content.firstElementChild
    host.append(this.root)
    this.$ = (selector) => this.root.querySelector(selector)
    this.stage = this.$(".stage")
    this.state = { ...START }
    this.layers = []
    this.panes = []
    this.values = new Map()
    this.listen()
  }

  // ---- what Python says -------------------------------------------------------------------------------------------

  update(data, send) {
    this.send = send
    this.root.style.setProperty("--height", `${data.height}px`)
    this.waiting = data
    if (this.main) return this.take(data)
    this.note("Loading the viewer…")
    import(new URL(data.script, location.origin).href).then(({ default: osd }) => {
      if (this.gone || this.main) return
      this.note("")
      this.osd = osd
      this.base = this.waiting.base
      this.main = new Pane(osd, this.$(".main"), this.base)
      this.main.onMove = () => this.moved()
      this.main.viewer.addHandler("animation-finish", () => this.remember())
      this.loupe = new Loupe(this.stage, this.$(".lens"), this.$(".strip"), this.base)
      this.take(this.waiting)
    }).catch((error) => this.note(`The viewer could not start: ${error.message}`))
  }

  take(data) {
    const before = this.layers
    this.layers = data.layers
    const first = this.layers[0]
    this.note(first ? "" : "There is nothing to show yet.")
    if (!first) return this.main.show([], 0)
    this.main.setImageSize(first.width, first.height)
    const asked = JSON.stringify(data.view)
    if (data.storage !== this.storage) {
      // A first look at this image: where this browser left it, else where Python starts.
      this.storage = data.storage
      const stored = this.recall()
      Object.assign(this.state, START, data.view, stored, data.view.force ? data.view : {})
      this.main.setView(stored?.look || { fit: true }, true)
      this.settle([])
      if (stored) this.report()
    } else {
      if (data.view.force && asked !== this.asked) Object.assign(this.state, data.view)
      this.settle(before)
    }
    this.asked = asked
    this.render()
    this.main.keepOnly(new Set(this.layers.map((layer) => layer.id)))
  }

  // Keep both sides on an image that exists: the same id, else the same title (new parameters give a new id), else
  // the same place in the list.
  settle(before) {
    const find = (id, fallback) => {
      if (this.layer(id)) return id
      const index = before.findIndex((layer) => layer.id === id)
      const title = before[index]?.title ?? this.titles?.[id]
      return (this.layers.find((layer) => layer.title === title) || this.layers[index] || fallback).id
    }
    this.state.left = find(this.state.left, this.layers[0])
    this.state.right = find(this.state.right, this.layers.at(-1))
    // Until someone chooses a side, the newest result is what they are waiting to see.
    if (before.length && this.layers.length > before.length && !this.chosen) this.state.right = this.layers.at(-1).id
    if (!MODES.some(([mode]) => mode === this.state.mode)) this.state.mode = "split"
    if (!GAINS.includes(this.state.gain)) this.state.gain = START.gain
    this.state.split = clamp(Number(this.state.split) || 0, 0, 1)
  }

  layer(id) { return this.layers.find((layer) => layer.id === id) }
  get left() { return this.layer(this.state.left) }
  get right() { return this.layer(this.state.right) }

  // ---- memory -----------------------------------------------------------------------------------------------------

  get storageName() { return `grainwise-view-${this.storage}` }

  recall() {
    try {
      // This tab's own view first, so that two tabs on one image do not pull at each other.
      const text = sessionStorage.getItem(this.storageName) || localStorage.getItem(this.storageName)
      const { look, titles, ...rest } = JSON.parse(text)
      this.titles = titles
      return { ...Object.fromEntries(Object.keys(START).map((name) => [name, rest[name] ?? START[name]])), look }
    } catch {
      return null // nothing stored, unreadable, or storage is switched off
    }
  }

  remember() {
    clearTimeout(this.remembering)
    this.remembering = setTimeout(() => {
      if (!this.layers.length || this.gone) return
      const titles = Object.fromEntries([this.left, this.right].map((layer) => [layer.id, layer.title]))
      const text = JSON.stringify({ ...this.state, look: this.leader.getView(), titles })
      try {
        sessionStorage.setItem(this.storageName, text)
        localStorage.setItem(this.storageName, text)
      } catch { /* private mode: the view then lasts as long as the page */ }
    }, 150)
  }

  // Tells Python what was chosen. This reruns the page, so it waits for a pause and never happens on pan or zoom.
  report() {
    clearTimeout(this.reporting)
    this.reporting = setTimeout(() => {
      if (this.gone) return
      const { x, y, zoom } = this.leader.getView()
      const round = (value) => Math.round(value * 1e4) / 1e4
      this.send("view", { ...this.state, split: round(this.state.split), centre: [round(x), round(y)], zoom: round(zoom) })
    }, 250)
  }

  change(part, words) {
    Object.assign(this.state, part)
    this.render()
    this.remember()
    this.report()
    if (words) this.say(words)
  }

  say(words) { this.$(".live").textContent = words }

  note(words) {
    this.$(".note").textContent = words
    this.$(".note").hidden = !words
  }

  // ---- drawing ----------------------------------------------------------------------------------------------------

  get leader() { return (this.state.mode === "grid" && this.lead) || this.main }

  render() {
    const { mode, gain, split } = this.state
    this.root.dataset.mode = mode
    for (const button of this.root.querySelectorAll("[data-mode]"))
      button.setAttribute("aria-pressed", String(button.dataset.mode === mode))
    this.fill(this.$("select.left"), this.left)
    this.fill(this.$("select.right"), this.right)
    this.$(".pick").hidden = mode === "grid"
    this.$(".gain").hidden = mode !== "difference"
    this.$(".gain select").value = gain
    this.$(".blinker").hidden = mode !== "blink"
    const alone = this.left === this.right
    this.$(".divider").hidden = mode !== "split" || alone
    if (mode !== "blink") this.autoBlink(false)
    this.showPanes(mode === "grid")
    const { left, right } = this
    if (mode === "split" && alone) this.main.show([left], 0)
    else if (mode === "split") this.main.show([{ ...left, side: "left" }, { ...right, side: "right" }], split)
    if (mode === "blink") this.main.show([{ ...left, visible: Boolean(this.held) }, { ...right, visible: !this.held }], 0)
    if (mode === "loupe") this.main.show([right], 0)
    if (mode === "difference") this.main.show([{ ...left, id: `diff.${left.id}.${right.id}.${gain}` }], 0)
    this.$(".strip").hidden = mode !== "loupe"
    if (mode === "loupe") {
      this.loupe.setLayers(this.layers.slice(0, GRID_MOST), right)
      if (!this.loupe.at) this.pointAtMiddle()
    } else {
      this.loupe.at = null
      this.$(".lens").hidden = true
    }
    this.tags()
    this.placeDivider()
    this.moved()
  }

  fill(select, chosen) {
    const wanted = this.layers.map((layer) => [layer.id, named(layer)])
    if (JSON.stringify(wanted) !== select.dataset.filled) {
      select.dataset.filled = JSON.stringify(wanted)
      select.replaceChildren(...wanted.map(([id, name]) => Object.assign(element("option", "", name), { value: id })))
    }
    select.value = chosen.id
    select.title = named(chosen)
  }

  tags() {
    const { mode, gain } = this.state
    const [a, b] = [this.$(".tag-a"), this.$(".tag-b")]
    const name = (tag, layer) => {
      tag.replaceChildren(element("b", "", layer.title))
      if (layer.subtitle) tag.append(element("span", "", layer.subtitle))
    }
    a.hidden = mode === "grid"
    b.hidden = mode !== "split" || this.left === this.right
    if (mode === "difference") name(a, { title: `|${this.left.title} − ${this.right.title}|`, subtitle: `×${gain}` })
    else name(a, mode === "split" || (mode === "blink" && this.held) ? this.left : this.right)
    name(b, this.right)
  }

  placeDivider() {
    const percent = Math.round(this.state.split * 100)
    const divider = this.$(".divider")
    divider.style.left = `${this.state.split * 100}%`
    divider.setAttribute("aria-valuenow", percent)
    divider.setAttribute("aria-valuetext", `${percent} % ${this.left.title}, ${100 - percent} % ${this.right.title}`)
    // A label that the divider has run over would name the wrong side.
    this.$(".tag-a").style.maxWidth = this.state.mode === "split" ? `calc(${this.state.split * 100}% - 20px)` : ""
    this.$(".tag-b").style.maxWidth = `calc(${(1 - this.state.split) * 100}% - 20px)`
  }

  setSplit(split) {
    this.state.split = clamp(split, 0, 1)
    this.main.split = this.state.split
    this.main.clip()
    this.placeDivider()
  }

  moved() {
    const zoom = this.leader.zoom
    this.$(".percent").textContent = Number.isFinite(zoom) ? `${Math.round(zoom * 100)} %` : "–"
    for (const button of this.root.querySelectorAll("[data-zoom]")) {
      const target = Number(button.dataset.zoom)
      button.classList.toggle("on", target ? !this.leader.fit && Math.abs(zoom - target) < 0.005 : this.leader.fit)
    }
    if (this.pointer) this.point(this.pointer)
  }

  // ---- grid: one pane per result, moving together -----------------------------------------------------------------

  showPanes(on) {
    const box = this.$(".panes")
    box.hidden = !on
    this.$(".main").classList.toggle("away", on)
    if (!on) {
      if (this.panes.length) {
        const view = this.lead.getView()
        for (const pane of this.panes) pane.destroy()
        box.replaceChildren()
        this.panes = []
        this.lead = null
        this.main.setView(view, true)
      }
      return
    }
    const shown = this.layers.slice(0, GRID_MOST)
    if (!shown.includes(this.right)) shown[shown.length - 1] = this.right
    if (this.panes.length !== shown.length) {
      const view = (this.lead || this.main).getView()
      for (const pane of this.panes) pane.destroy()
      const cells = shown.map(() => {
        const cell = element("div", "pane")
        cell.append(element("div", "pane-image"), element("div", "tag"))
        return cell
      })
      box.replaceChildren(...cells)
      this.arrange()
      this.panes = cells.map((cell) => this.addPane(cell))
      this.lead = this.panes[0]
      for (const pane of this.panes) {
        pane.setImageSize(this.main.width, this.main.height)
        pane.setView(view, true)
      }
    }
    this.panes.forEach((pane, index) => {
      const layer = shown[index]
      pane.setImageSize(this.main.width, this.main.height)
      pane.show([layer], 0)
      pane.keepOnly(new Set([layer.id]))
      const tag = box.children[index].querySelector(".tag")
      tag.replaceChildren(element("b", "", layer.title))
      if (layer.subtitle) tag.append(element("span", "", layer.subtitle))
    })
  }

  addPane(cell) {
    const pane = new Pane(this.osd, cell.querySelector(".pane-image"), this.base)
    const lead = () => { this.lead = pane }
    for (const kind of ["pointerdown", "pointerenter", "wheel"]) cell.addEventListener(kind, lead, { capture: true, passive: true })
    pane.onMove = () => {
      if (pane !== this.lead) return
      // Only the pane in use leads. If all did, their echoes would stop its animation.
      const bounds = pane.viewer.viewport.getBounds(true)
      for (const other of this.panes) {
        if (other === pane) continue
        other.fit = pane.fit
        other.viewer.viewport.fitBounds(bounds, true)
      }
      this.moved()
    }
    pane.viewer.addHandler("animation-finish", () => this.remember())
    return pane
  }

  arrange() {
    const box = this.$(".panes")
    const count = box.children.length
    const { clientWidth: width, clientHeight: height } = this.stage
    // The number of columns that shows the image largest.
    const best = [1, 2, 3, 4, 6].filter((columns) => columns <= count).map((columns) => {
      const [w, h] = [width / columns, height / Math.ceil(count / columns)]
      return [Math.min(w / this.main.width, h / this.main.height), columns]
    }).sort((one, two) => two[0] - one[0])[0]
    box.style.gridTemplateColumns = `repeat(${best?.[1] || 1}, minmax(0, 1fr))`
  }

  // ---- blink ------------------------------------------------------------------------------------------------------

  hold(on) {
    if (this.held === on || this.state.mode !== "blink") return
    this.held = on
    this.render()
  }

  autoBlink(on) {
    clearInterval(this.blinking)
    this.blinking = null
    if (!on) this.held = false
    // At most two changes a second: faster flashing can harm (WCAG 2.3.1).
    else this.blinking = setInterval(() => this.hold(!this.held), 1000 / Math.min(2, Number(this.$(".rate").value) || 1))
    this.$(".auto").setAttribute("aria-pressed", String(on))
  }

  // ---- input ------------------------------------------------------------------------------------------------------

  listen() {
    const on = (selector, kind, act, options) => this.$(selector).addEventListener(kind, act, options)
    this.root.addEventListener("keydown", (event) => this.key(event))
    this.root.addEventListener("keyup", (event) => { if (event.key === " ") this.hold(false) })
    this.root.addEventListener("focusout", () => { if (!this.blinking) this.hold(false) })
    this.root.addEventListener("click", (event) => {
      const button = event.target.closest("button")
      if (button?.dataset.mode) this.setMode(button.dataset.mode)
      if (button?.dataset.zoom) this.zoom(Number(button.dataset.zoom))
      // After a mouse click the keys should act on the view; after Enter or Space the focus stays where it was.
      if (button && event.detail && !button.closest(".help")) this.root.focus({ preventScroll: true })
    })
    on(".swap", "click", () => this.swap())
    on(".in", "click", () => this.leader.zoomBy(1.5))
    on(".out", "click", () => this.leader.zoomBy(1 / 1.5))
    on(".full", "click", () => this.fullScreen())
    on(".ask", "click", () => this.help())
    on(".close", "click", () => this.help(false))
    on("select.left", "change", (event) => this.choose("left", event.target.value))
    on("select.right", "change", (event) => this.choose("right", event.target.value))
    on(".gain select", "change", (event) => this.change({ gain: Number(event.target.value) }, `Gain ${event.target.value}`))
    on(".auto", "click", () => {
      if (still()) return this.say("Automatic blinking is off because your system asks for less motion")
      this.autoBlink(!this.blinking)
      this.render()
    })
    on(".rate", "change", () => { if (this.blinking) this.autoBlink(true) })
    on(".hold", "pointerdown", () => this.hold(true))
    for (const kind of ["pointerup", "pointercancel", "pointerleave"]) on(".hold", kind, () => this.hold(false))
    on(".hold", "contextmenu", (event) => event.preventDefault())
    this.stage.addEventListener("pointerdown", (event) => {
      if (!event.target.closest(".help, .divider")) this.root.focus({ preventScroll: true })
    }, true)
    this.stage.addEventListener("pointermove", (event) => this.point(event), true)
    this.stage.addEventListener("pointerdown", (event) => this.point(event), true)
    this.stage.addEventListener("pointerleave", (event) => {
      if (event.pointerType !== "touch") this.unpoint() // a lifted finger leaves the reading where it was
    })
    this.listenDivider()
    this.sizes = new ResizeObserver(() => this.arrange())
    this.sizes.observe(this.stage)
  }

  listenDivider() {
    const divider = this.$(".divider")
    const follow = (event) => {
      const box = this.stage.getBoundingClientRect()
      this.setSplit((event.clientX - box.left - this.grip) / box.width)
    }
    divider.addEventListener("pointerdown", (event) => {
      const box = this.stage.getBoundingClientRect()
      this.grip = event.clientX - box.left - this.state.split * box.width
      divider.setPointerCapture(event.pointerId)
      divider.focus({ preventScroll: true })
      divider.classList.add("dragging")
      event.preventDefault()
    })
    divider.addEventListener("pointermove", (event) => { if (divider.hasPointerCapture(event.pointerId)) follow(event) })
    const drop = () => {
      if (!divider.classList.contains("dragging")) return
      divider.classList.remove("dragging")
      this.change({})
    }
    for (const kind of ["pointerup", "pointercancel", "lostpointercapture"]) divider.addEventListener(kind, drop)
    divider.addEventListener("wheel", (event) => {
      event.preventDefault()
      const box = this.stage.getBoundingClientRect()
      this.main.zoomBy(1.25 ** -Math.sign(event.deltaY), new this.osd.Point(event.clientX - box.left, event.clientY - box.top))
    }, { passive: false })
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.layers.length || !this.main) return
    const { target, key } = event
    if (target.tagName === "SELECT" && key !== "Escape") return
    const step = event.shiftKey ? 0.1 : 0.01
    const split = (value) => () => { this.setSplit(value); this.change({}) }
    const acts = {
      "?": () => this.help(), Escape: () => this.help(false), x: () => this.swap(), f: () => this.fullScreen(),
      "[": () => this.step(-1), "]": () => this.step(1), "+": () => this.leader.zoomBy(1.5), "=": () => this.leader.zoomBy(1.5),
      "-": () => this.leader.zoomBy(1 / 1.5), "_": () => this.leader.zoomBy(1 / 1.5),
    }
    for (const [mode, , letter] of MODES) acts[letter.toLowerCase()] = () => this.setMode(mode)
    for (const level of [0, 1, 2, 4]) acts[level] = () => this.zoom(level)
    if (this.state.mode === "split")
      Object.assign(acts, {
        arrowleft: split(this.state.split - step), arrowright: split(this.state.split + step),
        home: split(0), end: split(1),
      })
    // On another button Space presses that button, as everywhere.
    if (this.state.mode === "blink" && !(target.tagName === "BUTTON" && target.dataset.mode !== "blink"))
      acts[" "] = () => { if (!event.repeat) this.hold(true) }
    if (key === "Escape" && this.$(".help").hidden) return
    const act = acts[key] || acts[key.toLowerCase()]
    if (!act) return
    event.preventDefault()
    event.stopPropagation() // Streamlit has single-key shortcuts of its own
    act()
  }

  setMode(mode) {
    if (mode !== this.state.mode) this.change({ mode }, MODES.find(([id]) => id === mode)[1])
  }

  choose(side, id) {
    this.chosen = true
    this.change({ [side]: id }, `${side === "left" ? "Left" : "Right"}: ${named(this.layer(id))}`)
  }

  step(by) {
    const index = this.layers.indexOf(this.right)
    this.choose("right", this.layers[(index + by + this.layers.length) % this.layers.length].id)
  }

  swap() {
    const { left, right } = this.state
    this.change({ left: right, right: left }, `Swapped: left ${this.right.title}, right ${this.left.title}`)
  }

  zoom(level) {
    if (level) this.leader.zoomTo(level)
    else this.leader.fitImage()
    this.moved()
    this.remember()
    this.say(level ? `${level * 100} %` : "Fitted")
  }

  help(open = this.$(".help").hidden) {
    this.$(".help").hidden = !open
    this.$(".ask").setAttribute("aria-expanded", String(open))
    if (open) this.$(".close").focus({ preventScroll: true })
    else this.root.focus({ preventScroll: true })
  }

  fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen()
    else this.root.requestFullscreen?.().catch(() => this.say("Full screen is not available here"))
  }

  // ---- the pixel under the pointer --------------------------------------------------------------------------------

  point(event) {
    if (!this.main || !this.layers.length) return
    this.pointer = { clientX: event.clientX, clientY: event.clientY }
    const pane = this.leader
    const box = pane.viewer.container.getBoundingClientRect()
    const pixel = pane.pixelAt(event.clientX - box.left, event.clientY - box.top)
    if (this.state.mode === "loupe") {
      this.loupe.moveTo({ x: event.clientX - box.left, y: event.clientY - box.top }, pixel, pane.zoom)
    }
    this.$(".where").textContent = pixel ? `x ${pixel[0]}  y ${pixel[1]}` : "Outside the image"
    if (!pixel) return this.$(".values").replaceChildren()
    const name = pixel.join("_")
    if (name === this.pixel) return
    this.pixel = name
    clearTimeout(this.asking)
    this.asking = setTimeout(() => this.ask(name), 70)
  }

  // Keys and touch have no resting pointer: the loupe then starts in the middle.
  pointAtMiddle() {
    const box = this.stage.getBoundingClientRect()
    this.point(this.pointer || { clientX: box.left + box.width / 2, clientY: box.top + box.height / 2 })
    this.loupe.draw()
  }

  unpoint() {
    this.pointer = this.pixel = null
    clearTimeout(this.asking)
    this.$(".where").textContent = "Point at the image to read its pixel values"
    this.$(".values").replaceChildren()
    if (this.state.mode === "loupe") this.loupe.moveTo(null, null, 1)
  }

  async ask(name) {
    const ids = this.layers.map((layer) => layer.id).join(",")
    const reply = await fetch(`${this.base}/pixel/${name}?ids=${ids}`).catch(() => null)
    if (!reply?.ok || this.gone || name !== this.pixel) return
    const { values } = await reply.json()
    this.$(".values").replaceChildren(...this.layers.filter((layer) => values[layer.id]).map((layer) => {
      const value = values[layer.id]
      const chip = element("span", "chip")
      const colour = element("i")
      colour.style.background = `rgb(${(value.length === 1 ? [value[0], value[0], value[0]] : value).join(" ")})`
      chip.append(colour, element("b", "", layer.title), element("code", "", value.join(" ")))
      return chip
    }))
  }

  destroy() {
    this.gone = true
    this.sizes.disconnect()
    for (const timer of [this.remembering, this.reporting, this.asking]) clearTimeout(timer)
    clearInterval(this.blinking)
    for (const pane of [this.main, ...this.panes]) pane?.destroy()
    this.root.remove()
  }
}

const viewers = new WeakMap()

// Streamlit calls this again on every change of data or theme, and the returned function once, at the end.
export default function ({ data, parentElement, setStateValue }) {
  let viewer = viewers.get(parentElement)
  if (!viewer) {
    viewer = new Viewer(parentElement)
    viewers.set(parentElement, viewer)
  }
  viewer.update(data, setStateValue)
  return () => {
    viewer.destroy()
    viewers.delete(parentElement)
  }
}
