/**
 * Types of the records that Python sends and that the parts of the page pass to each other. Nothing
 * here runs: tsc reads it (jsconfig.json). Letters: n visual tokens, t answer words, l
 * layers of the language model, h heads, u layers and g heads of the vision tower, k stages of
 * removal.
 *
 * @typedef {{data: string, dtype: "f2" | "f4" | "u1" | "i2" | "i4", shape: number[], scale?: Packed}} Packed
 *   An array as tokviz/view/encode.py packs it: base64 of little-endian numbers. With `scale`, bytes 0
 *   to 254 are shares of their row's scale and 255 means "no number".
 * @typedef {Float32Array | Uint8Array | Uint16Array | Int16Array | Int32Array} Numbers
 * @typedef {{values: Numbers, shape: number[]}} Field An unpacked array, row-major.
 *
 * @typedef {[number, number, number, number]} Box x0, y0, x1, y1 in pixels of the original image.
 * @typedef {{src: string | null, width: number, height: number, time?: [number, number] | null}} Picture
 *   `time`: of a frame, the seconds of the first and the last frame that its tokens show.
 * @typedef {{image: number, role: string, view: Box, unseen: Box[]}} Pane One picture to draw.
 * @typedef {{text: string, lead: boolean, special: boolean, part?: boolean, prob: number, candidates: [string, number][]}} Word
 * @typedef {{title: string, where: string, layer: number | null, left: number, removes: boolean, heads?: number}} Stage
 * @typedef {{name: string, tokens: number[]}} Role The method's own name for some tokens.
 *
 * @typedef {{model: string, unseen: number, methods: string[], mitigation: string, keep: number,
 *   n: number, date: string, parts: Record<string, any>}} Facts See tokviz/view/run_facts.py.
 *
 * @typedef {Object} Payload One run; tokviz/view/overlay.py says what each field holds.
 * @property {string} id
 * @property {string} title
 * @property {string} model
 * @property {string} prompt
 * @property {string} answer
 * @property {string} [phase] "streaming" while the answer is being written.
 * @property {string} [example] Name of the stored example that this is.
 * @property {boolean} [savable] Whether the server still has the run.
 * @property {Record<string, string>} [link] The page's own part of a link to this run.
 * @property {number} n
 * @property {Picture[]} images
 * @property {Pane[]} panes
 * @property {Word[]} [words]
 * @property {Stage[]} stages
 * @property {Role[]} [roles]
 * @property {Record<string, string>} [missing] Map name -> why it cannot be shown.
 * @property {string[]} notes
 * @property {Facts} [facts] What the run is about; none while the answer is being written.
 * @property {string} [truth] The right answer, where it is known and the model's is another.
 * @property {string} [origin] Where the run comes from: "stored", "here" or "file".
 * @property {boolean} [letterbox] Whether the page can ask again about a padded picture.
 * @property {Partial<AskedView>} [view]
 * @property {number[]} [attention_layers] The layers whose attention was sent; none means all.
 * @property {Record<string, string> | null} [gaps] Layers without attention -> what they have instead.
 * @property {number} [head_count] Heads whose rows were recorded, even if they were not sent.
 * @property {number} [tower_head_count] The same of the vision tower.
 * @property {"cls" | "received"} [tower_kind]
 * @property {number[] | null} [tower_layers] the layers that the rows of `tower` are; null = all
 * @property {string} [sink_note]
 * @property {{kept: number[], error: string, title: string}} [choice] Tokens that a method chose.
 *
 * @typedef {Object} View How the viewer shows a run.
 * @property {string} map "attention", "tam", "tower", "phi" or "score".
 * @property {number} layer
 * @property {number} head -1 is the mean over heads.
 * @property {Set<number>} words Chosen words; none means all.
 * @property {number | null} peek The word under the pointer.
 * @property {number} [keep] Tokens that the preview keeps; n means no preview.
 * @property {number} [opacity] Of the overlay, in percent.
 * @property {string} [scaling] "linear", "log" or "rank".
 * @property {boolean} [common] One colour scale for all layers.
 * @property {boolean} sinks Colour attention sinks too.
 * @property {boolean} [fates] Show what became of each token.
 * @property {boolean | null} [tints] With fates: show merged groups in colours; null where there are any.
 * @property {string} [bare] "picture" or "patches": no overlay, or only the patches' borders.
 * @property {boolean} [suggested] The chosen words come with the example: the first click replaces them.
 * @property {number | null} [stage] After which stage; null is the last, -1 before the first.
 * @property {boolean} [heat] Show the map below the fates.
 * @property {number} [hover] Token under the pointer, or -1.
 * @property {number} [pinned] Pinned token, or -1.
 *
 * @typedef {{map: string, layer: number, head: number, words: number[], keep: number, opacity: number,
 *   scaling: string, common: boolean, sinks: boolean, fates: boolean, groups: boolean, stage: number,
 *   token: number, hand: number[], suggested: boolean}} AskedView A view as a link or a lesson asks for it.
 *
 * @typedef {{low: number, high: number}} Range
 * @typedef {{id: string, label: string, has: Field | null, layers: number, heads: number, help?: string,
 *   why?: string}} MapEntry
 *
 * @typedef {Object} Look Everything that the painter needs; a new one after each change of the view.
 * @property {Float32Array | Numbers | null} norm [n] shares of the colour scale, NaN = no number.
 * @property {number} [absent] How many tokens have no number.
 * @property {number} opacity 0 to 1.
 * @property {Numbers | null} roles [n] 0 kept, 1 merged, 2 pruned.
 * @property {boolean} [patches] Draw the border of every token.
 * @property {boolean} [painted] The roles were painted by hand.
 * @property {boolean} [preview] The roles are a preview by the map.
 * @property {Numbers | null} groups [n] output token of each token.
 * @property {Map<number, number> | null} [tints] Group -> number of its colour; null = groups have none.
 * @property {Numbers | null} places [n] token that represents it, or -1.
 * @property {Map<number, number[]> | null} members Output token -> its source tokens.
 * @property {Role[] | null} [marks]
 * @property {number[]} [registers]
 * @property {Numbers | null} sinks [n] 1 = attention sink.
 * @property {boolean} [sinksIncluded] Whether sinks are coloured too.
 * @property {number} [hover]
 * @property {number} [pinned]
 *
 * @typedef {Object} Plan A lane as the visitor set it; components/runs reads it.
 * @property {string} method "" keeps all tokens.
 * @property {number} keep
 * @property {Record<string, any>} options
 * @property {"keep" | "repack" | "mean" | null} [positions]
 * @property {string | null} [prompt]
 * @property {string | null} [model]
 * @property {string | null} [mitigation]
 * @property {Record<string, any>} [mitigation_options]
 * @property {number[] | null} [forced] Token ids with which the answer begins.
 * @property {string | null} [forcedText]
 * @property {number | null} [layer] Of the lane's picture; null follows the viewer.
 * @property {number} [n] Visual tokens of the picture when tokens were chosen by hand.
 * @property {number[]} [tokens] Those that were chosen.
 *
 * @typedef {{text: string, mark: "same" | "added" | "removed", lead: boolean}} ComparedWord
 * @typedef {{name: string, value: string, ratio: string, trend: string, title: string}} Metric
 *
 * @typedef {Object} LaneCard The answer of a lane, while it is written and when it is done.
 * @property {string} text
 * @property {ComparedWord[]} words
 * @property {string} verdict
 * @property {boolean} changed
 * @property {boolean} done
 * @property {string} error
 * @property {Metric[]} metrics
 * @property {string[]} [status] How close the run came to each publication, a sentence each.
 * @property {{text: string, share: string}[]} distances
 * @property {string} [by] Model that answered, where it is another than the page's.
 * @property {string} [prompt]
 * @property {number} [n]
 * @property {Payload} [overlay]
 */

export {};
