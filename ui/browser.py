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
export default function ({ data, parentElement }) {
  const says = parentElement.querySelector("[role=alert]")
  const refusal = ({ name, size }) => {
    if (size > data.megabytes * 1e6)
      return `'${name}' has ${(size / 1e6).toFixed(1)} MB; the limit is ${data.megabytes} MB.`
    if (!data.types.includes(name.split(".").pop().toLowerCase()))
      return `'${name}' is of no kind that is read here: ${data.types.join(", ")}.`
  }
  const look = event => {
    if (!event.target.closest(data.uploader)) return
    const [file] = event.type == "click" ? [] : (event.dataTransfer ?? event.target).files
    says.textContent = (file && refusal(file)) ?? ""
  }
  const paste = event => {
    const input = document.querySelector(`${data.uploader} input[type=file]`)
    const file = [...event.clipboardData.files].find(file => file.type.startsWith("image/"))
    if (!data.paste || !input || !file) return
    event.preventDefault()
    const files = new DataTransfer()
    files.items.add(file)
    input.files = files.files
    input.dispatchEvent(new Event("change", { bubbles: true }))
  }
  const heard = Object.entries({ click: look, change: look, drop: look, paste })
  heard.forEach(([event, react]) => document.addEventListener(event, react, true))
  return () => heard.forEach(([event, react]) => document.removeEventListener(event, react, true))
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
        limits = {"types": types, "megabytes": st.get_option("server.maxUploadSize")}
        _UPLOADER(key=f"says.{key}", data={"uploader": uploader, "paste": paste} | limits)
    return upload


def reaches(url: str, key: str) -> bool | None:
    """Whether the visitor's browser can load an address; None until it has answered."""
    return {"yes": True, "no": False}.get(_REACH(key=key, data={"url": url}, on_answer_change=lambda: None).answer)
