# ruff: noqa: PLC0415 - each environment has the libraries of one framework alone
"""Frameworks that ingest a folder, each in a virtual environment of its own, with the same embedder.

Each does what its documentation shows for a folder of text files and a model of one's own: its loader, its splitter
by tokens of the embedder's tokenizer, its batch, its vector store in memory. None keeps anything on disk or makes a
word index, as ours does. This file is also what runs in those environments:

    python _ingest_peers.py NAME JOB

A job names how the embedder is run. `plain` is what the documentation of ONNX Runtime and tokenizers shows: a batch of
the framework's, padded to its longest text, through one session with all threads. `given` is the runtime that we use
(OpenVINO, a stream for each thread, each text alone and so without padding, longest first), behind the same class.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from _retrieval_peers import FRAMEWORKS as RETRIEVING

OPENVINO = "openvino==2026.4.1"
TOKENS_PER_WORD = 1.26
"""Of the texts that are ingested, by the embedder's tokenizer: Haystack counts words, or fetches a tokenizer."""
Embed = Callable[[list[str]], list[list[float]]]
Ingest = Callable[[Path, int, Any, Embed], int]
"""A folder, tokens of a passage, the embedder's tokenizer and the embedder → passages ingested."""


def plain(job: dict[str, Any], tokenizer: Any) -> Embed:
    """One session of ONNX Runtime; a call is a batch, padded."""
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(job["model"], providers=["CPUExecutionProvider"])
    inputs = {value.name for value in session.get_inputs()}
    tokenizer.enable_padding()

    def embed(texts: list[str]) -> list[list[float]]:
        encodings = tokenizer.encode_batch(texts)
        mask = np.array([e.attention_mask for e in encodings], dtype=np.int64)
        given = {
            "input_ids": np.array([e.ids for e in encodings], dtype=np.int64),
            "attention_mask": mask,
            "token_type_ids": np.zeros_like(mask),
        }
        (tokens, *_) = session.run(None, {key: value for key, value in given.items() if key in inputs})
        weights = mask[:, :, None]
        mean = (tokens * weights).sum(axis=1) / weights.sum(axis=1)
        vectors: list[list[float]] = (mean / np.linalg.norm(mean, axis=1, keepdims=True)).tolist()
        return vectors

    return embed


def given(job: dict[str, Any], tokenizer: Any) -> Embed:
    """OpenVINO as we run it."""
    import numpy as np
    import openvino

    streams = len(os.sched_getaffinity(0))
    options = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": streams}
    compiled = openvino.Core().compile_model(job["model"], "CPU", options)
    inputs = {name for entry in compiled.inputs for name in entry.get_names()}
    queue = openvino.AsyncInferQueue(compiled, streams)
    tokenizer.no_padding()

    def take(request: Any, place: tuple[list[list[float]], int]) -> None:
        results, row = place
        mean = request.get_output_tensor(0).data[0].mean(axis=0)
        results[row] = (mean / np.linalg.norm(mean)).tolist()

    queue.set_callback(take)

    def embed(texts: list[str]) -> list[list[float]]:
        encodings = tokenizer.encode_batch(texts)
        results: list[list[float]] = [[]] * len(texts)
        for row in sorted(range(len(texts)), key=lambda row: -len(encodings[row].ids)):
            ids = np.array([encodings[row].ids], dtype=np.int64)
            feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
            queue.start_async({name: feeds[name] for name in feeds if name in inputs}, (results, row))
        queue.wait_all()
        return results

    return embed


def llamaindex(folder: Path, tokens: int, tokenizer: Any, embed: Embed) -> int:
    from llama_index.core import SimpleDirectoryReader, VectorStoreIndex
    from llama_index.core.embeddings import BaseEmbedding
    from llama_index.core.node_parser import SentenceSplitter

    class Local(BaseEmbedding):
        def _get_query_embedding(self, query: str) -> list[float]:
            return embed([query])[0]

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return embed([query])[0]

        def _get_text_embedding(self, text: str) -> list[float]:
            return embed([text])[0]

        def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
            return embed(texts)

    documents = SimpleDirectoryReader(input_dir=str(folder), required_exts=[".md"]).load_data()
    splitter = SentenceSplitter(chunk_size=tokens, chunk_overlap=20, tokenizer=lambda text: tokenizer.encode(text).ids)
    index = VectorStoreIndex.from_documents(documents, transformations=[splitter], embed_model=Local())
    return len(index.docstore.docs)


def langchain(folder: Path, tokens: int, tokenizer: Any, embed: Embed) -> int:
    from langchain_community.document_loaders import DirectoryLoader, TextLoader
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import InMemoryVectorStore
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    class Local(Embeddings):
        # The framework hands over everything at once; 32 is what its own class for local models uses.
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [vector for at in range(0, len(texts), 32) for vector in embed(texts[at : at + 32])]

        def embed_query(self, text: str) -> list[float]:
            return embed([text])[0]

    documents = DirectoryLoader(str(folder), glob="*.md", loader_cls=TextLoader).load()
    splitter = RecursiveCharacterTextSplitter(
        chunk_size=tokens, chunk_overlap=20, length_function=lambda text: len(tokenizer.encode(text).ids)
    )
    passages = splitter.split_documents(documents)
    store = InMemoryVectorStore(Local())
    store.add_documents(passages)
    return len(store.store)


def haystack(folder: Path, tokens: int, tokenizer: Any, embed: Embed) -> int:
    from haystack.components.converters import TextFileToDocument
    from haystack.components.preprocessors import DocumentSplitter
    from haystack.components.writers import DocumentWriter
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    splitter = DocumentSplitter(split_by="word", split_length=round(tokens / TOKENS_PER_WORD))
    read = TextFileToDocument().run(sources=sorted(folder.glob("*.md")))["documents"]
    documents = splitter.run(documents=read)["documents"]
    # In batches of 32, as the framework's own embedders of documents.
    vectors = []
    for at in range(0, len(documents), 32):
        vectors += embed([document.content or "" for document in documents[at : at + 32]])
    embedded = [replace(document, embedding=vector) for document, vector in zip(documents, vectors, strict=True)]
    DocumentWriter(store).run(documents=embedded)
    return store.count_documents()


@dataclass(frozen=True, kw_only=True)
class Framework:
    """One that ingests; its environment is that of the one that retrieves."""

    name: str
    ingest: Ingest
    tokens: int
    """Of a passage at most: such that it makes about as many passages of the folder as we do."""
    note: str


FRAMEWORKS = (
    Framework(
        name="LlamaIndex",
        ingest=llamaindex,
        tokens=240,
        note="SimpleDirectoryReader; SentenceSplitter; VectorStoreIndex in memory; batches of 10",
    ),
    Framework(
        name="LangChain",
        ingest=langchain,
        tokens=320,
        note="DirectoryLoader with TextLoader; RecursiveCharacterTextSplitter; InMemoryVectorStore; batches of 32",
    ),
    Framework(
        name="Haystack",
        ingest=haystack,
        tokens=200,
        note="TextFileToDocument; DocumentSplitter by words; InMemoryDocumentStore; batches of 32",
    ),
)
WAYS: dict[str, Callable[[dict[str, Any], Any], Embed]] = {"plain": plain, "given": given}


def installed(peers: Path) -> list[Framework]:
    """Those whose environment is below `peers`."""
    names = {retrieving.name for retrieving in RETRIEVING if retrieving.installed(peers)}
    return [framework for framework in FRAMEWORKS if framework.name in names]


def install(peers: Path) -> None:
    """The environments of `_retrieval_peers.py`, and our runtime in each."""
    for retrieving in RETRIEVING:
        if not retrieving.installed(peers):
            retrieving.install(peers)
        pip = [str(retrieving.python(peers)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, OPENVINO], check=True)


def run(framework: Framework, peers: Path, job: dict[str, Any]) -> dict[str, float]:
    """`seconds`, `passages` and `peak_mb` of one ingestion in a fresh process.

    Loading the libraries and the model is not in the seconds: a folder of two files is ingested before the clock runs.

    Raises:
        subprocess.CalledProcessError: it failed; `stderr` says why.
    """
    (python,) = (other.python(peers) for other in RETRIEVING if other.name == framework.name)
    command = [str(python), __file__, framework.name, json.dumps(job)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main(name: str, job: dict[str, Any]) -> None:
    from tokenizers import Tokenizer

    (framework,) = (f for f in FRAMEWORKS if f.name == name)
    counting, cutting = (Tokenizer.from_file(job["tokenizer"]) for _ in range(2))
    counting.no_truncation()
    counting.no_padding()
    cutting.enable_truncation(job["max_tokens"])
    embed = WAYS[job["way"]](job, cutting)
    framework.ingest(Path(job["warm"]), framework.tokens, counting, embed)
    began = time.perf_counter()
    passages = framework.ingest(Path(job["folder"]), framework.tokens, counting, embed)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print("\n" + json.dumps({"seconds": seconds, "passages": passages, "peak_mb": round(peak)}))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
