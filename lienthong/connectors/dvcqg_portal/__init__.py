"""National Public Service Portal, generation C (rebuilt 2026): the public catalogue of procedures.

Run by the Government Office. A public interface for citizens, not an agreed contract (contracts §2.4).
"""
