"""Who is meant to use IAM.

``filters`` and ``protect_group`` ask the ``judge``. What operators write is in ``options``; what it stands for in
an account, in ``groups`` and ``roles``. ``membership`` and ``renames`` tell from CloudTrail's records who was an
admin when. ``self_service`` is the table of the calls about oneself.
"""
