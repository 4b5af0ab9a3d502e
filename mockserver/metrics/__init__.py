"""What an outage did to the traffic, in figures and as a picture.

measured = measure(server.journal, [Phase("calm", 0, 3), Phase("outage", 3, 5), Phase("after", 5, 12)])
measured.to_json()
Path("report.svg").write_text(picture(measured))
"""

from mockserver.metrics.figures import HERD_STEP, Metrics, Phase, PhaseFigures, measure
from mockserver.metrics.picture import picture

__all__ = ["HERD_STEP", "Metrics", "Phase", "PhaseFigures", "measure", "picture"]
