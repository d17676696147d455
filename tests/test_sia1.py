"""SIA version 1 on loopback; answers to the columns of the standard."""

import numpy as np
import pytest
from astropy.table import Table
from loopback import votable
from test_generic import HERE, XML, answer, picture, services  # noqa: F401, a fixture

import astrofuse_lab as af
from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.surveys.survey import Ask
from astrofuse_lab.targets import Targets

UCDS = {"link": "VOX:Image_AccessReference", "kind": "VOX:Image_Format", "ra": "POS_EQ_RA_MAIN", "dec": "POS_EQ_DEC_MAIN", "when": "VOX:Image_MJDateObs",
        "filter": "VOX:BandPass_ID", "unit": "VOX:BandPass_Unit", "low": "VOX:BandPass_LoLimit", "high": "VOX:BandPass_HiLimit", "scale": "VOX:Image_Scale"}  # fmt: skip


def listed(services, rows=3, **more):  # noqa: F811
    columns = {"link": [f"{services.url}/{n}" for n in ("far", "near", "preview")], "kind": ["image/fits", "image/fits", "image/jpeg"], "ra": [10.01, 10.0, 10.0], "dec": [5.0] * 3,
               "when": [59000.0, 59010.0, 59010.0], "filter": ["R"] * 3, "unit": ["meters"] * 3, "low": [5.5e-7] * 3, "high": [7.2e-7] * 3, "scale": [[0.1, 0.1]] * 3, **more}  # fmt: skip
    table = Table({name: np.array(values)[:rows] for name, values in columns.items()})
    for name, ucd in UCDS.items():
        table[name].meta["ucd"] = ucd
    services.answers["/sia"] = (200, votable(table), XML)
    services.answers |= {f"/{name}": picture() for name in ("far", "near")}


def test_the_nearest_image_documented_format(services):  # noqa: F811
    listed(services)
    image = answer(af.surveys.sia1(f"{services.url}/sia", parameters={"COLLECTION": "x"}), Targets([HERE]), size=10.0)[1]["here"]
    assert image.bands == ("R",) and image.flux.shape == (1, 10, 10) and image.unit == "uJy"
    assert [path for path, _ in services.asked] == ["/sia", "/near"]
    assert services.asked[0][1] == {"POS": "10.00000000,5.00000000", "SIZE": "0.00277778", "FORMAT": "image/fits", "COLLECTION": "x"}


def test_time_and_bands_are_heeded_though_the_protocol_has_none(services):  # noqa: F811
    listed(services)
    survey = af.surveys.sia1(f"{services.url}/sia", bands={"red": 6500, "blue": 4500})
    assert answer(survey, Targets([HERE]), time=(58999.0, 59001.0))[1]["here"].bands == ("red",) and services.asked[-1][0] == "/far"
    assert answer(survey, Targets([HERE]), time=(50000.0, 50001.0))[1] == {} and answer(survey, Targets([HERE]), bands=("blue",))[1] == {}
    listed(services, low=[4.6e14] * 3, high=[4.2e14] * 3, unit=["Hertz"] * 3)  # 650 to 710 nm
    assert answer(survey, Targets([HERE]), bands=("red",))[1] == {}
    listed(services, low=[1.0] * 3, high=[2.0] * 3, unit=["furlongs"] * 3)
    assert answer(survey, Targets([HERE]))[1] == {}


def test_nothing_there_and_errors_of_its_own(services):  # noqa: F811
    listed(services, rows=0)
    assert answer(af.surveys.sia1(f"{services.url}/sia"), Targets([HERE]))[1] == {}
    services.answers["/sia"] = (400, b'<VOTABLE><RESOURCE type="results"><INFO name="QUERY_STATUS" value="ERROR">SIZE is too large</INFO></RESOURCE></VOTABLE>', XML)
    with pytest.raises(ArchiveError, match="SIZE is too large"):
        answer(af.surveys.sia1(f"{services.url}/sia"), Targets([HERE]))


@pytest.mark.remote
def test_a_service_itself():
    survey = af.surveys.sia1("https://irsa.ipac.caltech.edu/cgi-bin/2MASS/IM/nph-im_sia?type=at&ds=asky", parameters={"INTERSECT": "COVERS"})
    raws = list(survey.query(Targets([HERE]), Ask(size=30.0)))
    assert [k for raw in raws for k, _ in survey.read(raw)] == ["here"]
