// The viewer itself: state, toolbar, keys, and the messages to and from Streamlit.

const GRID_MOST = 6
const FRAMES_A_SECOND = 8
// grid: the layers chosen for its panes; frame: null is the newest, also when more come.
const START = { mode: "split", left: null, right: null, split: 0.5, gain: 4, signed: false, grid: null, frame: null }

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
    this.told = [0.5, 0.5] // the place that Python knows of
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
      this.main.viewer.addHandler("animation-finish", () => this.rest())
      this.loupe = new Loupe(this.stage, this.$(".lens"), this.$(".strip"), this.base)
      this.take(this.waiting)
    }).catch((error) => this.note(`The viewer could not start: ${error.message}. Reload the page to try again.`))
  }

  take(data) {
    const before = this.layers
    const [first] = data.layers
    this.layers = data.layers.filter(({ width, height }) => width === first.width && height === first.height)
    this.refuse(data.layers.filter((layer) => !this.layers.includes(layer)))
    this.note(first ? "" : "There is nothing to show yet.")
    this.$(".bar").inert = !first
    if (!first) return this.clear()
    this.main.setImageSize(first.width, first.height)
    this.root.style.setProperty("--aspect", first.height / first.width)
    const asked = JSON.stringify(data.view)
    if (data.storage !== this.storage) {
      // A first look at this image: where this browser left it, else where Python starts.
      this.showPanes([]) // of the image before: they would leave their view behind
      this.storage = data.storage
      const { chosen, look, ...stored } = this.recall()
      this.chosen = chosen && [stored.left, stored.right].every((id) => this.layer(id))
      if (!this.chosen) for (const side of ["left", "right"]) delete stored[side] // there may be more to see by now
      Object.assign(this.state, START, data.view, stored, data.view.force ? data.view : {})
      this.main.setView(look || { fit: true }, true)
      this.settle([])
      if (look) this.report()
    } else {
      if (data.view.force && asked !== this.asked) Object.assign(this.state, data.view)
      this.settle(before, data.view.right)
    }
    this.asked = asked
    this.render()
    this.main.keepOnly(new Set(this.layers.flatMap((layer) => [layer, ...layer.frames]).map(({ id }) => id)))
  }

  clear() {
    this.showPanes([])
    this.main.show([], 0)
    this.unpoint()
    for (const node of this.root.querySelectorAll(".stage > :is(.who, .divider, .dock, .strip, .lens), .reel")) node.hidden = true
  }

  refuse(odd) {
    const { width, height } = this.layers[0] || {}
    this.$(".refused").hidden = !odd.length
    const say = (layer) =>
      `${layer.title} is not shown: it has ${layer.width} × ${layer.height} pixels, the others ${width} × ${height}.`
    this.$(".refused").textContent = odd.map(say).join(" ")
  }

  // Keep both sides on an image that exists: the same id, else the same title (new parameters give a new id), else
  // the same place in the list.
  settle(before, right) {
    const find = (id, fallback) => {
      if (this.layer(id)) return id
      const index = before.findIndex((layer) => layer.id === id)
      const title = before[index]?.title ?? this.titles?.[id]
      return (this.layers.find((layer) => layer.title === title) || this.layers[index] || fallback).id
    }
    this.state.left = find(this.state.left, this.layers[0])
    this.state.right = find(this.state.right, this.layers.at(-1))
    // Until someone chooses a side, what is new is what they are waiting to see: what Python names, or the last.
    if (before.length && this.layers.length > before.length && !this.chosen) {
      this.state.right = (this.layer(right) || this.layers.at(-1)).id
    }
    this.state.grid &&= [...new Set(this.state.grid.map((id) => find(id, this.layers[0])))]
    if (!MODES.some(([mode]) => mode === this.state.mode)) this.state.mode = "split"
    if (!GAINS.includes(this.state.gain)) this.state.gain = START.gain
    this.state.split = clamp(Number(this.state.split) || 0, 0, 1)
  }

  layer(id) { return this.layers.find((layer) => layer.id === id) }
  get left() { return this.layer(this.state.left) }
  get right() { return this.layer(this.state.right) }

  get frames() { return Math.max(0, ...this.layers.map((layer) => layer.frames.length)) }
  get frame() { return clamp(this.state.frame ?? Infinity, 0, this.frames - 1) }

  // What a layer shows now: itself, or one of its frames.
  shown(layer) {
    const frame = layer.frames[Math.min(this.frame, layer.frames.length - 1)]
    return frame ? { ...layer, id: frame.id, subtitle: frame.title } : layer
  }

  // Its other frames, the nearest first: what the scrubber may ask for next.
  ahead(layer) {
    const far = (index) => Math.abs(index - this.frame)
    return layer.frames.map(({ id }, index) => ({ ...layer, id, index, visible: false }))
      .filter(({ id }) => id !== this.shown(layer).id)
      .sort((one, two) => far(one.index) - far(two.index))
  }

  // The layers of the grid and the loupe: those chosen, then the others while there is room.
  get several() {
    const chosen = (this.state.grid || []).map((id) => this.layer(id))
    const some = [...new Set([...chosen, ...this.layers])].slice(0, GRID_MOST)
    if (!this.state.grid && !some.includes(this.right)) some[GRID_MOST - 1] = this.right
    return some
  }

  // ---- memory -----------------------------------------------------------------------------------------------------

  get storageName() { return `grainwise-view-${this.storage}` }

  recall() {
    try {
      // This tab's own view first, so that two tabs on one image do not pull at each other.
      const text = sessionStorage.getItem(this.storageName) || localStorage.getItem(this.storageName)
      const { look, titles, ...rest } = JSON.parse(text)
      this.titles = titles
      const state = Object.fromEntries(Object.keys(START).map((name) => [name, rest[name] ?? START[name]]))
      return { ...state, chosen: Boolean(rest.chosen), look }
    } catch {
      return {} // nothing stored, unreadable, or storage is switched off
    }
  }

  remember() {
    clearTimeout(this.remembering)
    this.remembering = setTimeout(() => this.store(), 150)
  }

  store() {
    clearTimeout(this.remembering)
    this.remembering = null
    if (!this.layers.length) return
    const titles = Object.fromEntries(this.layers.map((layer) => [layer.id, layer.title]))
    const text = JSON.stringify({ ...this.state, chosen: this.chosen, look: this.leader.getView(), titles })
    try {
      sessionStorage.setItem(this.storageName, text)
      localStorage.setItem(this.storageName, text)
    } catch { /* private mode: the view then lasts as long as the page */ }
  }

  // The picture came to rest elsewhere: Python hears of it only if it asked to.
  rest() {
    this.remember()
    const { x, y } = this.leader.getView(), [left, top] = this.told
    if (this.waiting.follow && Math.hypot(x - left, y - top) > 0.01) this.report()
  }

  // Tells Python what was chosen. This reruns the page, so it waits for a pause; mostly it never happens on pan or zoom.
  report() {
    clearTimeout(this.reporting)
    this.reporting = setTimeout(() => {
      if (this.gone) return
      const { x, y, zoom } = this.leader.getView()
      const round = (value) => Math.round(value * 1e4) / 1e4
      const { grid, ...state } = this.state
      this.told = [x, y]
      this.send("view", { ...state, split: round(state.split), centre: [round(x), round(y)], zoom: round(zoom) })
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
    const { mode, gain, signed, split } = this.state
    this.root.dataset.mode = mode
    for (const button of this.root.querySelectorAll("[data-mode]")) {
      button.setAttribute("aria-pressed", String(button.dataset.mode === mode))
      button.disabled = this.layers.length < 2 && ["blink", "difference"].includes(button.dataset.mode)
    }
    this.$(".swap").disabled = this.layers.length < 2
    this.fill(this.$("select.left"), this.left)
    this.fill(this.$("select.right"), this.right)
    this.$(".dock.difference").hidden = mode !== "difference"
    this.$("select.gain").value = gain
    for (const button of this.root.querySelectorAll("[data-signed]"))
      button.setAttribute("aria-pressed", String(Boolean(button.dataset.signed) === signed))
    this.$(".dock.blinker").hidden = mode !== "blink"
    this.$(".auto").disabled = still()
    this.$(".auto").title = still() ? "Off, as your system asks for less motion" : ""
    if (mode !== "blink") this.autoBlink(false)
    const [left, right] = [this.shown(this.left), this.shown(this.right)]
    const alone = left.id === right.id
    this.$(".divider").hidden = mode !== "split" || alone
    this.showPanes(mode === "grid" ? this.several : [])
    const ahead = [...this.ahead(this.right), ...this.ahead(this.left)]
    const next = ahead.filter(({ id }) => id !== left.id && id !== right.id)
    if (mode === "split")
      this.main.show(alone ? [left, ...next] : [{ ...left, side: "left" }, { ...right, side: "right" }, ...next], split)
    if (mode === "blink") {
      const [front, back] = this.held ? [left, right] : [right, left]
      this.main.show(alone ? [front, ...next] : [front, { ...back, visible: false }, ...next], 0)
    }
    if (mode === "loupe") this.main.show([right, ...next], 0)
    if (mode === "difference")
      this.main.show([{ ...left, id: `${signed ? "signed" : "diff"}.${left.id}.${right.id}.${gain}` }], 0)
    this.$(".strip").hidden = mode !== "loupe"
    if (mode === "loupe") {
      this.loupe.setLayers(this.several.map((layer) => this.shown(layer)), right)
      if (!this.loupe.at) this.pointAtMiddle()
    } else {
      this.loupe.at = null
      this.$(".lens").hidden = true
    }
    this.showReel()
    this.tags(left, right)
    this.placeDivider()
    this.moved()
  }

  fill(select, chosen) {
    const wanted = this.layers.map((layer) => [layer.id, named(layer)])
    if (JSON.stringify(wanted) !== select.dataset.filled) {
      select.dataset.filled = JSON.stringify(wanted)
      select.replaceChildren(...wanted.map(([id, name]) => Object.assign(element("option", "", name), { value: id })))
    }
    select.disabled = this.layers.length < 2
    select.value = chosen.id
    select.title = named(this.shown(chosen))
  }

  tags(left, right) {
    const { mode, signed } = this.state
    const [a, b] = [this.$(".who-a"), this.$(".who-b")]
    const alone = this.layers.length < 2
    label(this.$(".tag-a"), left)
    label(this.$(".tag-b"), right)
    a.hidden = mode === "grid" || mode === "loupe"
    b.hidden = mode === "grid" || alone && mode !== "loupe"
    // In blink mode the name of what is hidden steps back.
    a.classList.toggle("faded", mode === "blink" && !this.held)
    b.classList.toggle("faded", mode === "blink" && Boolean(this.held))
    const difference = signed ? `${left.title} minus ${right.title}` : `difference of ${left.title} and ${right.title}`
    this.$(".main").setAttribute("aria-label", {
      split: alone ? named(left) : `${named(left)} on the left, ${named(right)} on the right`,
      blink: named(this.held ? left : right), loupe: named(right), difference, grid: "",
    }[mode])
  }

  placeDivider() {
    const percent = Math.round(this.state.split * 100)
    const divider = this.$(".divider")
    divider.style.left = `${this.state.split * 100}%`
    divider.setAttribute("aria-valuenow", percent)
    divider.setAttribute("aria-valuetext", `${percent} % ${this.left.title}, ${100 - percent} % ${this.right.title}`)
    // A label that the divider has run over stands on the wrong side: it steps back, but can still be used.
    if (this.state.mode !== "split") return
    const at = this.state.split * this.stage.clientWidth
    const [a, b] = [this.$(".who-a"), this.$(".who-b")]
    a.classList.toggle("faded", !divider.hidden && at < a.offsetLeft + a.offsetWidth)
    b.classList.toggle("faded", !divider.hidden && at > b.offsetLeft)
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

  showPanes(layers) {
    const box = this.$(".panes")
    box.hidden = !layers.length
    this.$(".main").classList.toggle("away", layers.length > 0)
    if (!layers.length) {
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
    if (this.panes.length !== layers.length) {
      const view = (this.lead || this.main).getView()
      for (const pane of this.panes) pane.destroy()
      const cells = layers.map((_, index) => {
        const cell = element("div", "pane")
        const who = element("div", "who")
        const select = element("select")
        select.setAttribute("aria-label", `Image ${index + 1}`)
        select.addEventListener("change", () => this.chooseInGrid(index, select.value))
        who.append(element("div", "tag"), select)
        cell.append(element("div", "pane-image"), who)
        cell.firstChild.setAttribute("role", "img")
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
      const layer = this.shown(layers[index])
      const cell = box.children[index]
      pane.setImageSize(this.main.width, this.main.height)
      pane.show([layer, ...this.ahead(layers[index])], 0)
      pane.keepOnly(new Set([layer.id]))
      label(cell.querySelector(".tag"), layer)
      cell.firstChild.setAttribute("aria-label", named(layer))
      this.fill(cell.querySelector("select"), layers[index])
    })
  }

  // A layer that another pane shows changes places with it.
  chooseInGrid(index, id) {
    const grid = this.several.map((layer) => layer.id)
    if (grid.includes(id)) grid[grid.indexOf(id)] = grid[index]
    grid[index] = id
    this.change({ grid }, `Image ${index + 1}: ${named(this.layer(id))}`)
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
    pane.viewer.addHandler("animation-finish", () => this.rest())
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

  // ---- timeline: a layer's frames ---------------------------------------------------------------------------------

  showReel() {
    const { frames, frame } = this
    this.$(".reel").hidden = frames < 2
    if (frames < 2) return this.play(false)
    const name = this.layers.find((layer) => layer.frames.length === frames).frames[frame].title
    const scrub = this.$(".scrub")
    scrub.max = frames - 1
    scrub.value = frame
    scrub.setAttribute("aria-valuetext", `${name}, ${frame + 1} of ${frames}`)
    this.$("output.frame").replaceChildren(element("b", "", name), element("span", "", `${frame + 1} / ${frames}`))
  }

  // At the newest frame the timeline follows what is still to come.
  setFrame(index) {
    const frame = clamp(index, 0, this.frames - 1)
    this.state.frame = frame === this.frames - 1 ? null : frame
    this.render()
  }

  stepFrame(by) {
    if (this.frames < 2) return
    this.play(false)
    this.setFrame(this.frame + by)
    this.change({})
  }

  play(on) {
    if (on === Boolean(this.playing)) return
    clearInterval(this.playing)
    this.playing = null
    if (on) {
      if (this.frame === this.frames - 1) this.setFrame(0)
      this.playing = setInterval(() => {
        this.setFrame(this.frame + 1)
        if (this.frame === this.frames - 1) this.play(false)
      }, still() ? 1000 : 1000 / FRAMES_A_SECOND)
    } else this.change({}) // where it stopped
    const button = this.$(".play")
    button.setAttribute("aria-pressed", String(on))
    button.setAttribute("aria-label", on ? "Pause" : "Play")
  }

  // ---- blink ------------------------------------------------------------------------------------------------------

  hold(on) {
    if (this.held === on || this.state.mode !== "blink") return
    this.held = on
    this.render()
    if (!this.blinking) this.say(named(this.shown(on ? this.left : this.right)))
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
      if (button && "signed" in button.dataset) {
        const signed = Boolean(button.dataset.signed)
        this.change({ signed }, signed ? "Signed difference" : "Absolute difference")
      }
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
    on(".play", "click", () => this.play(!this.playing))
    on(".scrub", "input", (event) => {
      this.play(false)
      this.setFrame(Number(event.target.value))
    })
    on(".scrub", "change", () => this.change({}))
    on("select.gain", "change", (event) => this.change({ gain: Number(event.target.value) }, `Gain ${event.target.value}`))
    on(".auto", "click", () => {
      this.autoBlink(!this.blinking)
      this.render()
    })
    on(".rate", "change", () => { if (this.blinking) this.autoBlink(true) })
    on(".hold", "pointerdown", () => this.hold(true))
    for (const kind of ["pointerup", "pointercancel", "pointerleave"]) on(".hold", kind, () => this.hold(false))
    on(".hold", "contextmenu", (event) => event.preventDefault())
    this.stage.addEventListener("pointerdown", (event) => {
      if (!event.target.closest(".help, .divider, .dock, .who")) this.root.focus({ preventScroll: true })
    }, true)
    this.stage.addEventListener("pointermove", (event) => this.point(event), true)
    this.stage.addEventListener("pointerdown", (event) => this.point(event), true)
    this.stage.addEventListener("pointerleave", (event) => {
      if (event.pointerType !== "touch") this.unpoint() // a lifted finger leaves the reading where it was
    })
    this.listenDivider()
    this.sizes = new ResizeObserver(() => {
      this.arrange()
      if (this.left) this.placeDivider()
    })
    this.sizes.observe(this.stage)
    this.$(".full").hidden = !document.fullscreenEnabled
    this.onFull = () => this.$(".full").setAttribute("aria-pressed", String(Boolean(document.fullscreenElement)))
    document.addEventListener("fullscreenchange", this.onFull)
    this.onHide = () => { if (this.remembering) this.store() } // what was changed a moment ago
    window.addEventListener("pagehide", this.onHide)
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
    if (!this.$(".help").hidden && key === "Tab") return event.preventDefault() // a dialog keeps the focus
    if (target.tagName === "SELECT" && key !== "Escape") return
    if (target.type === "range" && /^(Arrow|Page|Home|End)/.test(key)) return
    const step = event.shiftKey ? 0.1 : 0.01
    const split = (value) => () => { this.setSplit(value); this.change({}) }
    const acts = {
      "?": () => this.help(), Escape: () => this.help(false), x: () => this.swap(), f: () => this.fullScreen(),
      "[": () => this.step(-1), "]": () => this.step(1), "+": () => this.leader.zoomBy(1.5), "=": () => this.leader.zoomBy(1.5),
      "-": () => this.leader.zoomBy(1 / 1.5), "_": () => this.leader.zoomBy(1 / 1.5),
      ",": () => this.stepFrame(-1), ".": () => this.stepFrame(1), p: () => this.frames > 1 && this.play(!this.playing),
    }
    const pan = (x, y) => () => { this.leader.panBy(x, y) }
    const by = 0.1
    Object.assign(acts, { arrowleft: pan(-by, 0), arrowright: pan(by, 0), arrowup: pan(0, -by), arrowdown: pan(0, by) })
    for (const [mode, , letter] of MODES) acts[letter.toLowerCase()] = () => this.setMode(mode)
    for (const level of [0, 1, 2, 4]) acts[level] = () => this.zoom(level)
    const onDivider = target === this.$(".divider")
    if (onDivider || (target !== this.$(".main") && !this.$(".divider").hidden))
      Object.assign(acts, {
        arrowleft: split(this.state.split - step), arrowright: split(this.state.split + step),
        home: split(0), end: split(1),
      })
    // On another button Space presses that button, as everywhere.
    if (this.state.mode === "blink" && (target.tagName !== "BUTTON" || target.matches("[data-mode=blink], .hold")))
      acts[" "] = () => { if (!event.repeat) this.hold(true) }
    if (key === "Escape" && this.$(".help").hidden) return
    const act = acts[key] || acts[key.toLowerCase()]
    if (!act) return
    event.preventDefault()
    event.stopPropagation() // Streamlit has single-key shortcuts of its own
    act()
  }

  setMode(mode) {
    if (mode !== this.state.mode && !this.$(`[data-mode=${mode}]`).disabled)
      this.change({ mode }, MODES.find(([id]) => id === mode)[1])
    // The pane that had the focus may be hidden now: keys go on to the viewer.
    if (!this.root.getRootNode().activeElement?.matches("button, select")) this.root.focus({ preventScroll: true })
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
    if (open === !this.$(".help").hidden) return
    this.$(".help").hidden = !open
    this.$(".ask").setAttribute("aria-expanded", String(open))
    if (open) {
      this.before = this.root.getRootNode().activeElement
      this.$(".close").focus({ preventScroll: true })
    } else (this.before || this.root).focus({ preventScroll: true })
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
    // The server reads a limited number of images: those on screen come first.
    const shown = [this.left, this.right, ...this.several, ...this.layers].map((layer) => this.shown(layer).id)
    const address = `${pixel.join("_")}?ids=${[...new Set(shown)].join(",")}`
    if (address === this.pixel) return
    this.pixel = address
    clearTimeout(this.asking)
    this.asking = setTimeout(() => this.ask(address), 70)
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

  async ask(address) {
    const reply = await fetch(`${this.base}/pixel/${address}`).catch(() => null)
    if (!reply?.ok || this.gone || address !== this.pixel) return
    const { values } = await reply.json()
    const read = this.layers.filter((layer) => values[this.shown(layer).id])
    this.$(".values").replaceChildren(...read.map((layer) => {
      const value = values[this.shown(layer).id]
      const chip = element("span", "chip")
      const colour = element("i")
      colour.style.background = `rgb(${(value.length === 1 ? [value[0], value[0], value[0]] : value).join(" ")})`
      chip.append(colour, element("b", "", layer.title), element("code", "", value.join(" ")))
      return chip
    }))
  }

  destroy() {
    this.onHide()
    this.gone = true
    this.sizes.disconnect()
    for (const timer of [this.reporting, this.asking]) clearTimeout(timer)
    clearInterval(this.blinking)
    clearInterval(this.playing)
    document.removeEventListener("fullscreenchange", this.onFull)
    window.removeEventListener("pagehide", this.onHide)
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
