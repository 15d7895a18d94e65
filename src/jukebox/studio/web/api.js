// What the page asks of the studio. Every refusal is a sentence, which is thrown.

async function answer(response) {
  const found = await response.json().catch(() => ({ error: `The studio answered ${response.status}.` }));
  if (!response.ok) throw new Error(found.error ?? `The studio answered ${response.status}.`);
  return found;
}

async function reach(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The studio does not answer; start it again by `jukebox studio`.");
  }
  return answer(response);
}

export const tell = (path, query = {}) => {
  const text = new URLSearchParams(query).toString();
  return reach(text ? `${path}?${text}` : path);
};

export const ask = (path, values = {}) =>
  reach(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(values) });

export const deed = (name, what, values) => ask(`/api/songs/${encodeURIComponent(name)}/${what}`, values);

export const send = (name, file) => reach(`/api/recordings/${encodeURIComponent(name)}`, { method: "PUT", body: file });

// "folder/file?age" as an address.
export const fileAddress = (url) => {
  const [path, age] = url.split(/\?(?=\d+$)/);
  return `/files/${path.split("/").map(encodeURIComponent).join("/")}?${age}`;
};

export function listen(heard, lost) {
  const source = new EventSource("/api/events");
  source.onmessage = (event) => heard(JSON.parse(event.data));
  source.onerror = lost;
}
