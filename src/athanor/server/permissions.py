"""`/api/groups`, `/api/knowledge/{base}/access`, `/rules` and `/erase`: who may read which document, and erasure."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Depends

from athanor.errors import InputError
from athanor.gateway import App
from athanor.governance import Right, may
from athanor.rag.permissions import no_match, readers_of, rule_for
from athanor.server.auth import application, principal
from athanor.server.reach import reach, reader
from athanor.server.wire.permissions import AccessBody, EraseBody, GroupChange, Member, NewGroup
from athanor.types import Access, Document, Group, Principal, Reader

router = APIRouter(prefix="/api", tags=["permissions"], dependencies=[Depends(reach)])


@router.get("/groups", summary="Groups, who is in them, and what they are cleared for")
async def list_groups(app: App = Depends(application)) -> dict[str, Any]:
    return {"data": [_group(group, members) for group, members in await to_thread.run_sync(app.groups.list)]}


@router.post("/groups", summary="Make a group")
async def create_group(
    body: NewGroup, app: App = Depends(application), who: Principal = Depends(principal)
) -> dict[str, Any]:
    return _group(await to_thread.run_sync(lambda: app.groups.create(body.name, body.labels, by=who)), [])


@router.patch("/groups/{group}", summary="Clear the members of a group for labels")
async def clear_group(
    group: str, body: GroupChange, app: App = Depends(application), who: Principal = Depends(principal)
) -> dict[str, Any]:
    return await _named(app, await to_thread.run_sync(lambda: app.groups.clear(group, body.labels, by=who)))


@router.post("/groups/{group}/members", summary="Put a principal into a group")
async def add_member(
    group: str, body: Member, app: App = Depends(application), who: Principal = Depends(principal)
) -> dict[str, Any]:
    return await _named(app, await to_thread.run_sync(lambda: app.groups.add(group, body.principal, by=who)))


@router.delete("/groups/{group}/members/{member}", summary="Take a principal out of a group")
async def remove_member(
    group: str, member: str, app: App = Depends(application), who: Principal = Depends(principal)
) -> dict[str, Any]:
    return await _named(app, await to_thread.run_sync(lambda: app.groups.remove(group, member, by=who)))


@router.delete("/groups/{group}", summary="Delete a group; what it opened is closed to those who were in it")
async def delete_group(
    group: str, app: App = Depends(application), who: Principal = Depends(principal)
) -> dict[str, Any]:
    gone = await to_thread.run_sync(lambda: app.groups.delete(group, by=who))
    return {"id": gone.id, "deleted": True}


@router.post("/knowledge/{base}/access", summary="Open or close documents")
async def permit(
    base: str,
    body: AccessBody,
    app: App = Depends(application),
    who: Principal = Depends(principal),
    sees: Reader = Depends(reader),
) -> dict[str, Any]:
    named = body.groups or body.users or body.teams or body.labels or body.nobody
    if body.default and named:
        raise InputError("Either the rule is taken away, or somebody is named.", where="default")
    found = await app.knowledge.base(base, reader=sees)

    def apply() -> list[Document]:
        permissions = app.knowledge.permissions
        access = None if body.default else _access(app, body)
        return permissions.permit(found, body.what, access, reader=sees, by=who)

    changed = await to_thread.run_sync(apply)
    still = [document for document in changed if sees.may_read(document.access)]
    return {"what": body.what, "changed": len(changed), "documents": [document.source for document in still]}


@router.get("/knowledge/{base}/access", summary="Who may read a document, and why")
async def access(
    base: str,
    source: str,
    app: App = Depends(application),
    who: Principal = Depends(principal),
    sees: Reader = Depends(reader),
) -> dict[str, Any]:
    def look() -> dict[str, Any]:
        found = app.store.knowledge.get(base)
        document = app.store.knowledge.document_by_source(found.id, source)
        if document is None or not sees.may_read(document.access):
            raise no_match(found, source)
        rule = rule_for(found, source)
        said: dict[str, Any] = {"document": document.id, "source": source, **readers_of(document.access, app.store)}
        if sees.everything:
            said["rule"] = None if rule is None else rule.pattern
        if may(who, Right.OPERATE):  # who else there is, a builder is not told
            said["people"] = [
                {"name": one.principal.name, "role": one.principal.role, "reasons": [*one.reasons]}
                for one in app.knowledge.permissions.who(document)
            ]
        return said

    return await to_thread.run_sync(look)


@router.get("/knowledge/{base}/rules", summary="The rules of a knowledge base; the last that matches counts")
async def rules(base: str, app: App = Depends(application)) -> dict[str, Any]:
    def look() -> list[dict[str, Any]]:
        found = app.store.knowledge.get(base)
        return [{"pattern": rule.pattern, **readers_of(rule.access, app.store)} for rule in found.rules]

    return {"data": await to_thread.run_sync(look)}


@router.post("/knowledge/{base}/erase", summary="Erase a document from everything that is kept; the receipt proves it")
async def erase(
    base: str, body: EraseBody, app: App = Depends(application), who: Principal = Depends(principal)
) -> dict[str, Any]:
    found = await to_thread.run_sync(app.store.knowledge.get, base)
    receipt = await to_thread.run_sync(lambda: app.eraser.erase(found, body.source, by=who))
    return receipt.plain()


def _access(app: App, body: AccessBody) -> Access:
    return app.knowledge.permissions.resolve(
        groups=body.groups, users=body.users, teams=body.teams, labels=body.labels, nobody=body.nobody
    )


async def _named(app: App, group: Group) -> dict[str, Any]:
    for found, members in await to_thread.run_sync(app.groups.list):
        if found.id == group.id:
            return _group(found, members)
    return _group(group, [])


def _group(group: Group, members: list[Principal]) -> dict[str, Any]:
    return {
        "id": group.id,
        "name": group.name,
        "created_at": group.created_at,
        "labels": [*group.labels],
        "members": [{"id": one.id, "name": one.name, "role": one.role} for one in members],
    }
