/** What this page and Gradio put on the window; read by tsc alone. */
interface Window {
  __tokviz: any;
  gradio_config?: { root?: string };
}
