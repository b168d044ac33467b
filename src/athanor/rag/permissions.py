"""Which documents of a base are open to whom: rules over source names, and what follows from them.

The rules of a base are the only truth: the access of a document is what the last rule says that matches its source, and
it is written onto the document when the rules change and when the document does. So a document that is deleted and
comes again, or is replaced, is as closed as it was, and one that moves is as closed as its new place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from sqlalchemy import Connection

from athanor.errors import InputError, NotFoundError, PermissionDeniedError
from athanor.governance import reader_of
from athanor.observe import Action, AuditLog
from athanor.store import Store
from athanor.types import (
    OPEN,
    Access,
    AccessRule,
    Document,
    Group,
    Job,
    JobItem,
    KnowledgeBase,
    Principal,
    Reader,
)

ALL = 1_000_000
"""Documents of a base, at most, where all are meant."""
MAX_RULES = 10_000
"""Rules of a base. Each document's source is held against all of them."""
_SPECIAL = re.compile(r"([*?\[])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """Somebody who may read a document, and why."""

    principal: Principal
    reasons: tuple[str, ...]
    """For people: `group legal`, `cleared for board by group directors`."""


def access_for(base: KnowledgeBase, source: str, *within: str) -> Access:
    """The access of the document `source` in `base`: what the last rule says that matches it; open where none does.

    Of a member that none matches, what is said of the containers that it is `within`, the nearest first.
    """
    rules = (rule_for(base, name) for name in (source, *within))
    return next((rule.access for rule in rules if rule is not None), OPEN)


def rule_for(base: KnowledgeBase, source: str) -> AccessRule | None:
    """The rule that counts for `source`."""
    return next((rule for rule in reversed(base.rules) if fnmatchcase(source, rule.pattern)), None)


def _wanted(base: KnowledgeBase, document: Document, found: Mapping[str, Document]) -> Access:
    """What the rules say of a document; of a member that none names, what they say of its container."""
    for _ in range(len(found)):
        rule = rule_for(base, document.source)
        if rule is not None:
            return rule.access
        container = None if document.container is None else found.get(document.container)
        if container is None:
            break
        document = container
    return OPEN


def _depth(document: Document, found: Mapping[str, Document]) -> int:
    depth = 0
    while document.container is not None and document.container in found and depth < len(found):
        document, depth = found[document.container], depth + 1
    return depth


def literal(source: str) -> str:
    """A pattern that matches `source` and nothing else."""
    return _SPECIAL.sub(r"[\1]", source)


class Permissions:
    """Opens and closes documents, and says who may read them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._audit = AuditLog(store)

    def resolve(
        self,
        *,
        groups: Sequence[str] = (),
        users: Sequence[str] = (),
        teams: Sequence[str] = (),
        labels: Sequence[str] = (),
        nobody: bool = False,
    ) -> Access:
        """Access from names or ids. Without anybody named, all who are cleared for the labels may read.

        Raises:
            NotFoundError: there is no such group, principal or team.
            InputError: nobody is said, and somebody named.
        """
        with self._store.read() as conn:
            readers = {f"group:{self._store.groups.get(name, conn=conn).id}" for name in groups}
            readers |= {f"principal:{self._store.principals.get(name, conn=conn).id}" for name in users}
            readers |= {f"team:{self._store.teams.get(name, conn=conn).id}" for name in teams}
        if nobody and readers:
            raise InputError("Either nobody may read it, or those who are named.", where="nobody")
        named = tuple(sorted(readers)) if readers or nobody else None
        return Access(readers=named, labels=tuple(sorted(set(labels))))

    def permit(
        self, base: KnowledgeBase, what: str, access: Access | None, *, reader: Reader, by: Principal | None = None
    ) -> list[Document]:
        """Give the documents of `base` whose source matches `what` this `access`; `None` takes the rule away.

        Whoever reads everything makes one rule, which holds for documents to come as well. Others change the documents
        that they may read now, each by a rule of its own: a pattern of theirs would also open what they do not see.

        Returns:
            The documents whose access changed, as they are now.

        Raises:
            NotFoundError: no document that the reader may read matches, and they may make no rule for those to come.
            PermissionDeniedError: the reader is not cleared for a label that they want to set.
            InputError: the base has too many rules.
        """
        if not reader.everything and access is not None and not reader.labels.issuperset(access.labels):
            missing = sorted(set(access.labels) - reader.labels)
            raise PermissionDeniedError(
                f"You are not cleared for the label {missing[0]!r}.", where="labels", hint="Ask an administrator."
            )
        with self._store.write() as conn:
            now = self._store.knowledge.get(base.id, conn=conn)
            patterns = self._patterns(now, what, reader, conn)
            rules = [rule for rule in now.rules if rule.pattern not in patterns]
            if access is not None:
                rules += [AccessRule(pattern=pattern, access=access) for pattern in patterns]
            if len(rules) > MAX_RULES:
                raise InputError(f"A base has at most {MAX_RULES} rules.", hint="Use patterns: 'hr/*'.")
            now = self._store.knowledge.set_rules(base.id, tuple(rules), conn=conn)
            changed = self._apply(now, conn)
            details = {
                "patterns": len(patterns),
                "documents": [document.id for document in changed[:100]],
                "changed": len(changed),
                "readers": None if access is None or access.readers is None else [*access.readers],
                "labels": [] if access is None else [*access.labels],
                "taken_away": access is None,
            }
            self._audit.record(Action.ACCESS_CHANGED, by=by, subject=base.id, details=details, conn=conn)
        return changed

    def _patterns(self, base: KnowledgeBase, what: str, reader: Reader, conn: Connection) -> list[str]:
        exact = self._store.knowledge.document_by_source(base.id, what, conn=conn)
        if reader.everything:
            return [literal(what) if exact is not None else what]
        if exact is not None and reader.may_read(exact.access):
            return [literal(what)]
        view = self._store.knowledge.view(base.id, reader, conn=conn)
        seen = self._store.knowledge.documents(base.id, view=view, limit=ALL, conn=conn)
        found = [literal(document.source) for document in seen if fnmatchcase(document.source, what)]
        if not found:
            raise no_match(base, what)
        return found

    def _apply(self, base: KnowledgeBase, conn: Connection) -> list[Document]:
        """Write onto every document of `base` what the rules say."""
        changed = []
        found = {d.source: d for d in self._store.knowledge.documents(base.id, limit=ALL, conn=conn)}
        wanted = {source: _wanted(base, document, found) for source, document in found.items()}
        # A container takes its members with it: it comes first, and they are looked at again.
        for source in sorted(found, key=lambda source: _depth(found[source], found)):
            document = found[source]
            now = document if document.container is None else self._store.knowledge.document(document.id, conn=conn)
            if wanted[source] != now.access:
                self._store.knowledge.set_access(document.id, wanted[source], conn=conn)
            if wanted[source] != document.access:
                changed.append(self._store.knowledge.document(document.id, conn=conn))
        return changed

    def who(self, document: Document) -> list[Allowed]:
        """Everybody who may read `document`, and why, by name."""
        with self._store.read() as conn:
            people = self._store.principals.list(conn=conn)
            groups = self._store.groups.list(conn=conn)
        found = []
        for person in sorted(people, key=lambda person: person.name):
            reasons = _reasons(person, [group for group in groups if person.id in group.members], document.access)
            if reasons:
                found.append(Allowed(principal=person, reasons=reasons))
        return found

    def source_names(self, base: KnowledgeBase, files: Mapping[str, str], *, reader: Reader) -> dict[str, str]:
        """Source name → file id for uploads: what each file replaces or is called, for this reader.

        A name must not tell whether a document is there that its uploader may not read. So only a visible document is
        replaced, and every other upload gets a name of its own, whether or not something hidden is in its way.
        """
        if reader.everything:
            return dict(files)
        view = self._store.knowledge.view(base.id, reader)
        seen = {document.source for document in self._store.knowledge.documents(base.id, view=view, limit=ALL)}
        uploads = {source.partition("/")[2]: source for source in seen if source.startswith("file_")}
        named = {}
        for name, file in files.items():
            named[name if name in seen else uploads.get(name, f"{file}/{name}")] = file
        return named

    # -- jobs

    def sees_job(self, job: Job, *, principal: Principal, reader: Reader) -> bool:
        """May all of `job` be shown: its counts, its message, what it was asked for.

        To whoever reads everything, to who asked for it, and to everybody where it works on a base in which nothing is
        closed to them now, nor will be by a rule.
        """
        if reader.everything or job.arguments.get("principal") == principal.id:
            return True
        base_id = job.arguments.get("knowledge_base")
        base = self._store.knowledge.find(base_id) if isinstance(base_id, str) else None
        return base is not None and self.sees_all(base, reader=reader)

    def sees_all(self, base: KnowledgeBase, *, reader: Reader) -> bool:
        """Is nothing of `base` closed to the reader, nor will be by a rule that stands."""
        if reader.everything:
            return True
        if not all(reader.may_read(rule.access) for rule in base.rules):
            return False
        with self._store.read() as conn:
            view = self._store.knowledge.view(base.id, reader, conn=conn)
            seen = self._store.knowledge.count_documents(base.id, view=view, conn=conn)
            return seen == self._store.knowledge.count_documents(base.id, conn=conn)

    def guarded(self, base: KnowledgeBase, conn: Connection) -> bool:
        """Has `base` rules or closed documents, whoever asks."""
        if self._store.knowledge.get(base.id, conn=conn).rules:
            return True
        anybody = self._store.knowledge.view(base.id, Reader(), conn=conn)
        seen = self._store.knowledge.count_documents(base.id, view=anybody, conn=conn)
        return seen < self._store.knowledge.count_documents(base.id, conn=conn)

    def check_deletion(self, base: KnowledgeBase, reader: Reader, conn: Connection) -> None:
        """Let `reader` delete `base`, now or by giving it an end.

        Raises:
            PermissionDeniedError: it has rules or closed documents, and the reader does not read everything. That is
                said whether or not something is hidden from them.
        """
        if not reader.everything and self.guarded(base, conn):
            raise PermissionDeniedError(
                f"Who may read {base.name!r} is regulated: only an administrator may delete it.", where=base.name
            )

    def seen_items(self, job: Job, items: Sequence[JobItem], *, principal: Principal, reader: Reader) -> list[JobItem]:
        """Those of `items` that may be shown: the names of documents one may read, and of one's own uploads."""
        if reader.everything:
            return [*items]
        own = job.arguments.get("principal") == principal.id
        base_id = job.arguments.get("knowledge_base")
        base = self._store.knowledge.find(base_id) if isinstance(base_id, str) else None
        if base is None:
            return [*items] if own else []
        shown = []
        for item in items:
            document = self._store.knowledge.document_by_source(base.id, item.key)
            if own if document is None else reader.may_read(document.access):
                shown.append(item)
        return shown


def readers_of(access: Access, store: Store) -> dict[str, object]:
    """`access` for people: names in place of ids. What was deleted keeps its id."""
    if access.readers is None:
        return {"open": True, "readers": None, "labels": [*access.labels]}
    with store.read() as conn:
        known = {f"group:{group.id}": f"group {group.name}" for group in store.groups.list(conn=conn)}
        known |= {f"principal:{person.id}": f"user {person.name}" for person in store.principals.list(conn=conn)}
        known |= {f"team:{team.id}": f"team {team.name}" for team in store.teams.list(conn=conn)}
    return {"open": False, "readers": [known.get(one, one) for one in access.readers], "labels": [*access.labels]}


def no_match(base: KnowledgeBase, what: str) -> NotFoundError:
    """The one answer for what is not there and what is not to be seen."""
    return NotFoundError(f"No document of {base.name!r} is called {what!r}.", hint="'athanor kb documents' shows them.")


def _reasons(person: Principal, groups: Sequence[Group], access: Access) -> tuple[str, ...]:
    """Why `person` may read; empty where they may not."""
    reader = reader_of(person, groups)
    if not reader.may_read(access):
        return ()
    if reader.everything:
        return ("administrator",)
    words = {f"principal:{person.id}": "named", **{f"group:{g.id}": f"group {g.name}" for g in groups}}
    if person.team is not None:
        words[f"team:{person.team.id}"] = f"team {person.team.name}"
    cleared = {label: f"cleared for {label} by group {g.name}" for g in groups for label in g.labels}
    named = ["open to all"] if access.readers is None else [words[one] for one in access.readers if one in words]
    return (*named, *(cleared[label] for label in access.labels))
