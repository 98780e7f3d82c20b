// Loads the tokenizers of exported folders with transformers.js, for llamacpp_test.go: node tokenize.mjs NODE_MODULES <
// questions > answers.
//
// questions: [{"file": folder, "texts": [text, ...]}, ...]
// answers: [{"ids": [[id, ...], ...], "texts": [text, ...], "end": id}, ...]
import {readFileSync} from "node:fs";
import {pathToFileURL} from "node:url";
import path from "node:path";

const entry = path.join(process.argv[2], "@huggingface", "transformers", "dist", "transformers.node.mjs");
const {AutoTokenizer, env} = await import(pathToFileURL(entry));
env.allowRemoteModels = false;

const answers = [];
for (const {file, texts} of JSON.parse(readFileSync(0, "utf8"))) {
    env.localModelPath = path.dirname(file);
    const tokenizer = await AutoTokenizer.from_pretrained(path.basename(file));
    const ids = texts.map((text) => tokenizer.encode(text));
    answers.push({ids, texts: ids.map((x) => tokenizer.decode(x)), end: tokenizer.eos_token_id});
}
process.stdout.write(JSON.stringify(answers));
