/** Values of stored examples, which the page fetches as files that the browser keeps. */

/**
 * What a stored example shows is a file that is fetched once
 * (components/widgets/payload_cache.py); any other value is here already. Of several that are asked for in turn only the last is loaded.
 */
const files = new Map();
const fetched = (name) => {
  const root = window.gradio_config?.root || "";
  const file = fetch(`${root}/stored/${name}`).then((answer) => {
    if (!answer.ok) throw new Error(answer.statusText);
    return answer.json();
  });
  file.catch(() => files.delete(name));
  files.set(name, file);
  return file;
};
export const storedLoader = (load) => {
  let turn = 0;
  return (value) => {
    const mine = ++turn;
    if (!value?.stored) return load(value);
    const { stored, ...own } = value;
    return (files.get(stored) || fetched(stored)).then((file) => {
      if (mine === turn) return load({ ...file, ...own });
    });
  };
};
