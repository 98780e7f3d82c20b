// Runs GGUF files in llama.cpp for llamacpp_test.go: node llama.mjs NODE_MODULES < questions > answers.
//
// questions: [{"file": path, "sequences": [[id, ...], ...], "new": n, "texts": [text, ...]}, ...]
// answers: [{"logits": [[[...], ...], ...], "greedy": [[id, ...], ...], "ids": [[id, ...], ...], "texts": [text, ...]}, ...]
//
// logits are those after each token of each sequence, greedy up to n likeliest tokens after it, ids those of the texts, and
// texts what the ids say when turned back.
import {readFileSync} from "node:fs";
import {pathToFileURL} from "node:url";
import path from "node:path";

const modules = process.argv[2];
const {getLlama} = await import(pathToFileURL(path.join(modules, "node-llama-cpp", "dist", "index.js")));
const say = (level, message) => process.stderr.write(`llama.cpp: ${level}: ${message}\n`);
const llama = await getLlama({gpu: false, build: "never", skipDownload: true, progressLogs: false, logLevel: "warn", logger: say});
const best = (logits) => logits.indexOf(Math.max(...logits));

async function answer({file, sequences, new: most, texts}) {
    const model = await llama.loadModel({modelPath: file});
    // Room for one more than the model can take, since a full context would be shifted; keys and values as exact as the
    // weights, which by default they are not.
    const context = await model.createContext({
        contextSize: model.trainContextSize + 1, sequences: 1, threads: 1, flashAttention: false,
        experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32"
    });
    const sequence = context.getSequence();
    const all = [...model.fileInfo.metadata.tokenizer.ggml.tokens.keys()];
    const ask = {generateNext: {logits: true, options: {temperature: 0}}};
    const read = async (ids) => {
        const outputs = await sequence.controlledEvaluate(ids.map((id) => [id, ask]));
        return outputs.map((o) => all.map((id) => o.next.logits.get(id)));
    };
    const said = {logits: [], greedy: [], ids: [], texts: []};
    for (const ids of sequences) {
        await sequence.clearHistory();
        const logits = await read(ids);
        said.logits.push(logits);
        const greedy = [best(logits.at(-1))];
        // past the context there is nothing to compare
        while (greedy.length < most && ids.length + greedy.length <= model.trainContextSize)
            greedy.push(best((await read(greedy.slice(-1)))[0]));
        said.greedy.push(greedy);
    }
    for (const text of texts) {
        const ids = model.tokenize(text, true);
        said.ids.push(ids);
        said.texts.push(model.detokenize(ids, true));
    }
    await context.dispose();
    await model.dispose();
    return said;
}

const answers = [];
for (const question of JSON.parse(readFileSync(0, "utf8")))
    answers.push(await answer(question));
process.stdout.write(JSON.stringify(answers), () => process.exit(0));
