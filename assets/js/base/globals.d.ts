/** What this page and Gradio put on the window; read by tsc alone. */
declare var __tokvizTexts: Record<string, string> | undefined;
declare var __tokvizOptions: Record<string, string> | undefined;
declare var __tokvizTold: string[] | undefined;
declare var __tokvizLanguages:
  | { names: Record<string, string>; language?: string; kept?: string }
  | undefined;
interface Window {
  __tokviz: any;
  gradio_config?: { root?: string };
}
