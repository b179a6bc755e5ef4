/** What this page and Gradio put on the window; read by tsc alone. */
interface Window {
  __tokviz: any;
  /** English -> the reader's language; see components/i18n.py. */
  __tokvizTexts?: Record<string, string>;
  gradio_config?: { root?: string };
}
