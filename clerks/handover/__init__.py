"""客户继承: the customers of somebody who leaves, or changes place, get somebody else; each of them is accounted for.

    leaving.leave ─▶ cases.open ─▶ rows, `open` ──cases.start──▶ planned ──running.move──▶ in our books the receiver's
                                                                   ▲                            │
                  cases.again: retried, or to somebody else ───────┘        no friend in WeCom ─┴▶ local
                                                                                       friend ─┴▶ asked (outbox)
    asked ──running.told──▶ waiting ──callback, or running.look──▶ done │ refused │ full │ ineligible

The company decides whose customer somebody is, so the relation moves at the start, and the friend in WeCom follows
(docs/adr/0020). Notes, to-dos and coupons to give move by each room's own verb: `along.VERBS`.
"""
