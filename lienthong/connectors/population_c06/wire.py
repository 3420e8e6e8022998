"""Envelopes as the service spells them: the same for every road, so they stand in `connectors/population.py`.

What its statuses and faults mean is `connectors/soap.py`; nothing more is public (contracts §5.1).
"""

from __future__ import annotations

from lienthong.connectors import population

SYSTEM = "population_c06"
SERVICES = population.SERVICES
