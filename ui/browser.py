"""What only the browser knows: a file it will not send, a picture on its clipboard, whether it reaches an address."""

import re

import streamlit as st

# Streamlit shows why it refuses a file only under the pointer. A pasted picture takes the uploader's own way, so it
# meets the same limits and the same errors.
_UPLOADER = st.components.v2.component(
    "grainwise_uploader",
    css="""
[role=alert] {
  color: var(--st-red-text-color);
  font-size: 0.875rem;
  overflow-wrap: anywhere;
}
""",
    html='<div role="alert"></div>',
    js="""
const ends = new WeakMap() // Streamlit calls this again when the theme changes, and ends only the last one

export default function ({ data, parentElement }) {
  ends.get(parentElement)?.()
  const uploader = document.querySelector(data.uploader)
  if (!uploader) return // gone already, as after a file was taken over
  const says = parentElement.querySelector("[role=alert]")
  const refusal = chip => {
    const { title: name } = chip.querySelector("[data-testid=stFileChipName]")
    if (!data.types.includes(name.split(".").pop().toLowerCase()))
      return `'${name}' is of no kind that is read here: ${data.types.join(", ")}.`
    return `'${name}': ${chip.querySelector("[role=alert]").textContent.replace("Error: ", "")}`
  }
  const look = () => {
    const chip = uploader.querySelector("[data-testid=stFileChip][aria-invalid=true]")
    says.textContent = chip ? refusal(chip) : ""
  }
  const paste = event => {
    const input = uploader.querySelector("input[type=file]")
    const file = [...event.clipboardData.files].find(file => file.type.startsWith("image/"))
    if (!data.paste || !input || !file) return
    event.preventDefault()
    const files = new DataTransfer()
    files.items.add(file)
    input.files = files.files
    input.dispatchEvent(new Event("change", { bubbles: true }))
  }
  const watch = new MutationObserver(look)
  watch.observe(uploader, { childList: true, subtree: true, attributes: true })
  look() // a file may be refused before this script is here
  document.addEventListener("paste", paste, true)
  const end = () => {
    watch.disconnect()
    document.removeEventListener("paste", paste, true)
  }
  ends.set(parentElement, end)
  return end
}
""",
)
_REACH = st.components.v2.component(
    "grainwise_reach",
    js="""
export default function ({ data, setStateValue }) {
  fetch(data.url, { mode: "no-cors" })
    .then(() => setStateValue("answer", "yes"), () => setStateValue("answer", "no"))
}
""",
)


def file_uploader(label: str, types, key: str, *, paste: bool = False, help: str | None = None):
    """``st.file_uploader`` for one file that says why it refuses a large file or another kind.

    With ``paste`` a picture pasted anywhere on the page goes into it.
    """
    types = [types] if isinstance(types, str) else list(types)
    with st.container(key=f"at.{key}", gap="small"):
        upload = st.file_uploader(label, types, key=key, help=help)
        uploader = ".st-key-" + re.sub("[^a-zA-Z0-9_-]", "-", f"at.{key}")
        _UPLOADER(key=f"says.{key}", data={"uploader": uploader, "types": types, "paste": paste})
    return upload


def reaches(url: str, key: str) -> bool | None:
    """Whether the visitor's browser can load an address; None until it has answered."""
    return {"yes": True, "no": False}.get(_REACH(key=key, data={"url": url}, on_answer_change=lambda: None).answer)
