// The stop control of the INR Lab. Every output is in the browser already: a rule or another noise level only says
// which one to show, so this moves the viewer's timeline itself, at once, and Python hears of it from the viewer.

const make = (tag, name, text) => {
  const node = document.createElement(tag)
  if (name) node.className = name
  if (text !== undefined) node.textContent = text
  return node
}

class Dial {
  constructor(host) {
    this.root = host.querySelector(".dial")
    this.range = this.root.querySelector("input")
    this.chips = new Map()
    this.range.addEventListener("input", () => this.level(Number(this.range.value)))
    this.range.addEventListener("change", () => this.tell())
    this.root.querySelector(".reset").addEventListener("click", () => {
      this.range.value = this.data.estimate
      this.level(this.data.estimate)
      this.tell()
    })
    this.watching = setInterval(() => this.follow(), 120)
  }

  level(sigma) {
    this.sigma = sigma
    this.picked = this.rule(this.picked)?.share ? this.picked : this.data.follow
    this.go(this.frame(this.rule(this.picked)))
  }

  tell() {
    this.end()
    this.send("level", { fit: this.data.fit, sigma: this.sigma })
  }

  update(data, send) {
    if (this.data?.fit !== data.fit) {
      this.sigma = data.sigma
      this.picked = null
    }
    Object.assign(this, { data, send })
    this.range.max = data.most
    this.range.value = this.sigma
    this.draw()
  }

  rule(name) { return this.data.rules.find((rule) => rule.name === name) }

  // Rules that know their error need no more than the curve; of the others Python says where they stop.
  frame(rule) {
    if (rule.share === undefined) return rule.frame
    const at = this.data.errors.findIndex((error) => error * error <= rule.share * this.sigma * this.sigma)
    return at < 0 ? this.data.errors.length - 1 : at
  }

  reached(rule) {
    if (rule.share === undefined) return rule.fired
    return this.data.errors.some((error) => error * error <= rule.share * this.sigma * this.sigma)
  }

  draw() {
    const { data } = this
    const box = this.root.querySelector(".rules")
    for (const rule of data.rules) {
      let chip = this.chips.get(rule.name)
      if (!chip) {
        chip = make("button")
        chip.type = "button"
        chip.append(make("b"), make("span"))
        chip.addEventListener("click", () => {
          this.picked = rule.name
          this.go(this.frame(this.rule(rule.name)))
          this.end()
        })
        this.chips.set(rule.name, chip)
        box.append(chip)
      }
      const [title, where] = chip.children
      title.textContent = rule.title
      chip.title = rule.reason || rule.help
      chip.disabled = Boolean(rule.reason) || !data.steps.length
      if (chip.disabled) where.textContent = rule.reason ? "not here" : "…"
      else {
        const at = this.frame(rule)
        const score = data.scores.length ? ` · ${data.scores[at].toFixed(2)} dB` : ""
        where.textContent = this.reached(rule) ? `step ${data.steps[at]}${score}` : `not yet${score}`
      }
    }
    for (const [name, chip] of this.chips) chip.hidden = !this.rule(name)
    this.root.querySelector(".level").textContent = `${this.sigma.toFixed(1)} of 255`
    this.root.querySelector(".reset").hidden = Math.abs(this.sigma - data.estimate) < 0.05
    this.follow()
  }

  // The viewer's timeline, inside its own shadow.
  get scrub() {
    if (!this.found?.isConnected) {
      const hosts = document.querySelectorAll(`.st-key-${this.data.viewer} *`)
      this.found = [...hosts].map((host) => host.shadowRoot?.querySelector(".scrub")).find(Boolean)
    }
    return this.found
  }

  go(frame) {
    if (this.scrub && Number(this.scrub.value) !== frame) {
      this.scrub.value = frame
      this.scrub.dispatchEvent(new Event("input"))
    }
    this.draw()
  }

  end() { this.scrub?.dispatchEvent(new Event("change")) }

  follow() {
    if (!this.data?.steps.length || !this.scrub) return
    const at = Number(this.scrub.value)
    for (const rule of this.data.rules)
      this.chips.get(rule.name)?.setAttribute("aria-pressed", String(!rule.reason && this.reached(rule) && this.frame(rule) === at))
  }

  destroy() { clearInterval(this.watching) }
}

const dials = new WeakMap()

export default function ({ data, parentElement, setStateValue }) {
  let dial = dials.get(parentElement)
  if (!dial) dials.set(parentElement, (dial = new Dial(parentElement)))
  dial.update(data, setStateValue)
  return () => {
    dial.destroy()
    dials.delete(parentElement)
  }
}
