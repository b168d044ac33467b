# ruff: noqa: PLC0415 - each environment has the libraries of one framework alone
"""Frameworks that retrieve, each in a virtual environment of its own, with the same passages, vectors and embedder.

Every one gets our chunks and the vectors that our embedder made of them, and runs the same ONNX file on the questions,
so that what differs is retrieval alone. Each does what its documentation shows: its vector store in memory, its BM25,
and its fusion of both with the settings it comes with. This file is also what runs in those environments:

    python _retrieval_peers.py NAME FOLDER
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Search = Callable[[str], list[str]]
"""A question → ids of passages, best first."""
Setup = Callable[[list[str], dict[str, str], "Onnx", int], dict[str, Search]]
"""Ids, id → text, the embedder, passages wanted → a search for each way of retrieving."""


@dataclass(frozen=True, kw_only=True)
class Framework:
    name: str
    requirements: tuple[str, ...]
    setup: Setup
    note: str

    def python(self, peers: Path) -> Path:
        return peers / self.name.lower() / "bin/python"

    def installed(self, peers: Path) -> bool:
        return self.python(peers).exists()

    def install(self, peers: Path) -> None:
        """From the package index, into a folder of its own; a minute and some 350 MB each."""
        base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
        subprocess.run([str(base), "-m", "venv", str(peers / self.name.lower())], check=True)
        pip = [str(self.python(peers)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *self.requirements], check=True)

    def run(self, peers: Path, folder: Path) -> dict[str, Any]:
        """What the job in `folder` gives: for each way of retrieving, `orders` and `milliseconds` of each question.

        Raises:
            subprocess.CalledProcessError: it failed; `stderr` says why.
        """
        command = [str(self.python(peers)), __file__, self.name, str(folder)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result


class Onnx:
    """The embedder's file, as the product runs it: mean of the tokens, length 1."""

    def __init__(self, job: dict[str, Any], folder: Path) -> None:
        import numpy as np
        import onnxruntime
        from tokenizers import Tokenizer

        self._np = np
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = job["threads"]
        self._session = onnxruntime.InferenceSession(job["model"], options, providers=["CPUExecutionProvider"])
        self._inputs = {value.name for value in self._session.get_inputs()}
        self._tokenizer = Tokenizer.from_file(job["tokenizer"])
        self._tokenizer.enable_truncation(job["max_tokens"])
        self._tokenizer.no_padding()
        self._known = dict(zip(job["texts"], np.load(folder / "vectors.npy").tolist(), strict=True))

    def documents(self, texts: list[str]) -> list[list[float]]:
        """Those that were made before: what is measured is retrieval."""
        return [self._known[text] for text in texts]

    def query(self, text: str) -> list[float]:
        np, encoding = self._np, self._tokenizer.encode(text)
        mask = np.array([encoding.attention_mask], dtype=np.int64)
        given = {
            "input_ids": np.array([encoding.ids], dtype=np.int64),
            "attention_mask": mask,
            "token_type_ids": np.array([encoding.type_ids], dtype=np.int64),
        }
        (tokens, *_) = self._session.run(None, {key: value for key, value in given.items() if key in self._inputs})
        mean = (tokens[0] * mask[0][:, None]).sum(axis=0) / mask.sum()
        vector: list[float] = (mean / np.linalg.norm(mean)).tolist()
        return vector


def llamaindex(ids: list[str], texts: dict[str, str], embedder: Onnx, wanted: int) -> dict[str, Search]:
    import Stemmer
    from llama_index.core import VectorStoreIndex
    from llama_index.core.embeddings import BaseEmbedding
    from llama_index.core.llms import MockLLM
    from llama_index.core.retrievers import QueryFusionRetriever
    from llama_index.core.schema import TextNode
    from llama_index.retrievers.bm25 import BM25Retriever

    class Adapter(BaseEmbedding):
        def _get_query_embedding(self, query: str) -> list[float]:
            return embedder.query(query)

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return embedder.query(query)

        def _get_text_embedding(self, text: str) -> list[float]:
            return embedder.documents([text])[0]

    nodes = [TextNode(id_=key, text=texts[key]) for key in ids]
    vector = VectorStoreIndex(nodes, embed_model=Adapter()).as_retriever(similarity_top_k=wanted)
    words = BM25Retriever.from_defaults(
        nodes=nodes, similarity_top_k=wanted, stemmer=Stemmer.Stemmer("english"), language="english"
    )
    hybrid = QueryFusionRetriever(
        [vector, words],
        llm=MockLLM(),
        similarity_top_k=wanted,
        num_queries=1,
        mode="reciprocal_rerank",
        use_async=False,
    )

    def through(retriever: Any) -> Search:
        return lambda question: [found.node.node_id for found in retriever.retrieve(question)]

    return {"vector": through(vector), "BM25": through(words), "hybrid": through(hybrid)}


def langchain(ids: list[str], texts: dict[str, str], embedder: Onnx, wanted: int) -> dict[str, Search]:
    from langchain_classic.retrievers import EnsembleRetriever
    from langchain_community.retrievers import BM25Retriever
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import InMemoryVectorStore

    class Adapter(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return embedder.documents(texts)

        def embed_query(self, text: str) -> list[float]:
            return embedder.query(text)

    documents = [Document(id=key, page_content=texts[key], metadata={"key": key}) for key in ids]
    store = InMemoryVectorStore(Adapter())
    store.add_documents(documents)
    vector = store.as_retriever(search_kwargs={"k": wanted})
    words = BM25Retriever.from_documents(documents, k=wanted)
    hybrid = EnsembleRetriever(retrievers=[words, vector], weights=[0.5, 0.5], id_key="key")

    def through(retriever: Any) -> Search:
        return lambda question: [found.metadata["key"] for found in retriever.invoke(question)]

    return {"vector": through(vector), "BM25": through(words), "hybrid": through(hybrid)}


def haystack(ids: list[str], texts: dict[str, str], embedder: Onnx, wanted: int) -> dict[str, Search]:
    from haystack import Document
    from haystack.components.joiners import DocumentJoiner
    from haystack.components.retrievers.in_memory import InMemoryBM25Retriever, InMemoryEmbeddingRetriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    vectors = embedder.documents([texts[key] for key in ids])
    store.write_documents(
        [Document(id=key, content=texts[key], embedding=v) for key, v in zip(ids, vectors, strict=True)]
    )
    dense = InMemoryEmbeddingRetriever(store, top_k=wanted)
    words = InMemoryBM25Retriever(store, top_k=wanted)
    joiner = DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=wanted)

    def by_vector(question: str) -> Any:
        return dense.run(query_embedding=embedder.query(question))["documents"]

    def by_words(question: str) -> Any:
        return words.run(query=question)["documents"]

    def by_both(question: str) -> Any:
        return joiner.run(documents=[by_words(question), by_vector(question)])["documents"]

    def through(search: Callable[[str], Any]) -> Search:
        return lambda question: [found.id for found in search(question)]

    return {"vector": through(by_vector), "BM25": through(by_words), "hybrid": through(by_both)}


FRAMEWORKS = (
    Framework(
        name="LlamaIndex",
        requirements=(
            "llama-index-core==0.14.25", "llama-index-retrievers-bm25==0.8.0",
            "onnxruntime==1.32.0", "tokenizers==0.23.3",
        ),
        setup=llamaindex,
        note="VectorStoreIndex; BM25Retriever with its English stemmer; QueryFusionRetriever by reciprocal ranks",
    ),
    Framework(
        name="LangChain",
        requirements=(
            "langchain-core==1.8.3", "langchain-classic==1.0.8", "langchain-community==0.4.2", "rank-bm25==0.2.2",
            "onnxruntime==1.32.0", "tokenizers==0.23.3",
        ),
        setup=langchain,
        note="InMemoryVectorStore; BM25Retriever; EnsembleRetriever with equal weights",
    ),
    Framework(
        name="Haystack",
        requirements=("haystack-ai==3.4.1", "onnxruntime==1.32.0", "tokenizers==0.23.3"),
        setup=haystack,
        note="InMemoryDocumentStore; InMemoryBM25Retriever; DocumentJoiner by reciprocal ranks",
    ),
)  # fmt: skip


def written(folder: Path, job: dict[str, Any], vectors: Any) -> Path:
    """`folder` with a job for `Framework.run` in it: the passages, their vectors, the questions."""
    import numpy as np

    folder.mkdir(exist_ok=True)
    np.save(folder / "vectors.npy", vectors)
    (folder / "job.json").write_text(json.dumps(job))
    return folder


def asked(search: Search, questions: list[str]) -> Iterator[tuple[list[str], float]]:
    """What each question finds, and milliseconds."""
    search(questions[0])
    for question in questions:
        began = time.perf_counter()
        found = search(question)
        yield found, 1000 * (time.perf_counter() - began)


def main(name: str, folder: Path) -> None:
    job = json.loads((folder / "job.json").read_text())
    texts = dict(zip(job["ids"], job["texts"], strict=True))
    (framework,) = (f for f in FRAMEWORKS if f.name == name)
    result = {}
    for way, search in framework.setup(job["ids"], texts, Onnx(job, folder), job["wanted"]).items():
        pairs = list(asked(search, job["questions"]))
        result[way] = {"orders": [order for order, _ in pairs], "milliseconds": [round(ms, 2) for _, ms in pairs]}
    print("\n" + json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
