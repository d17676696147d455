"""The surveys that are fetched through hips2fits, one row each.

Identifiers as in the CDS list (https://aladin.cds.unistra.fr/hips/list) and its MOC server. Scales are near the surveys'
own pixels; bands are those with FITS tiles. Chandra's HiPS has coloured pictures only, so its three bands are 8-bit
values for show. LoTSS and VLASS are kept by their own institutes: hips2fits has at times answered for them with an error.
"""

from astrofuse_lab.surveys.archive import Coverage
from astrofuse_lab.surveys.hips_cutouts import COLOURS, THANKS, HipsImage

NASA = "public domain; credit NASA and the mission"
OPEN = "free to use with the acknowledgement"


def _row(
    name: str, hips: dict[str, str], scale: float, release: str, citation: str, licence: str, coverage: Coverage, colour: bool = False
) -> HipsImage:
    return HipsImage(
        name=f"hips/{name}", hips=hips, scale=scale, release=release, citation=f"{citation} {THANKS}", licence=licence, coverage=coverage, colour=colour
    )


ROWS: dict[str, HipsImage] = {
    row.name: row
    for row in (
        _row(
            "dss2", {"blue": "CDS/P/DSS2/blue", "red": "CDS/P/DSS2/red", "NIR": "CDS/P/DSS2/NIR"}, 1.0, "DSS2",
            "The Digitized Sky Surveys were produced at the Space Telescope Science Institute under U.S. Government grant NAG W-2166, from "
            "photographic data obtained with the Oschin Schmidt Telescope on Palomar Mountain and the UK Schmidt Telescope.",
            "copyright of the plate owners, see https://archive.stsci.edu/dss/copyright.html", Coverage("all sky", moc="CDS/P/DSS2/red"),
        ),
        _row(
            "sdss", {b: f"CDS/P/SDSS9/{b}" for b in "ugriz"}, 0.396, "SDSS DR9",
            "Ahn et al. 2012, ApJS 203, 21 (SDSS-III DR9; acknowledgement at https://www.sdss3.org/collaboration/boiler-plate.php).",
            "free to use with the SDSS-III acknowledgement", Coverage("a third of the sky, mostly north", (-27.0, 86.0), moc="CDS/P/SDSS9/g"),
        ),
        _row(
            "legacy", {b: f"CDS/P/DESI-Legacy-Surveys/DR10/{b}" for b in "griz"}, 0.262, "Legacy Surveys DR10",
            "Dey et al. 2019, AJ 157, 168 (acknowledgement at https://www.legacysurvey.org/acknowledgment/).",
            "free to use with the Legacy Surveys acknowledgement",
            Coverage("half the sky, off the galactic plane", (-90.0, 85.0), moc="CDS/P/DESI-Legacy-Surveys/DR10/g"),
        ),
        _row(
            "panstarrs", {b: f"CDS/P/PanSTARRS/DR1/{b}" for b in "grizy"}, 0.25, "Pan-STARRS1 DR1",
            "Chambers et al. 2016, arXiv:1612.05560 (acknowledgement at https://panstarrs.stsci.edu/).",
            OPEN, Coverage("north of -30 deg", (-30.0, 90.0), moc="CDS/P/PanSTARRS/DR1/g"),
        ),
        _row(
            "2mass", {b: f"CDS/P/2MASS/{b}" for b in "JHK"}, 1.0, "2MASS All-Sky",
            "This publication makes use of data products from the Two Micron All Sky Survey, a joint project of the University of Massachusetts "
            "and IPAC/Caltech, funded by NASA and NSF. Cite Skrutskie et al. 2006, AJ 131, 1163.",
            "free to use with the 2MASS acknowledgement", Coverage("all sky", moc="CDS/P/2MASS/J"),
        ),
        _row(
            "unwise", {b: f"CDS/P/unWISE/{b}" for b in ("W1", "W2")}, 2.75, "unWISE neo8",
            "Lang 2014, AJ 147, 108; Meisner et al. 2022, RNAAS 6, 188. This publication makes use of data products from the Wide-field Infrared "
            "Survey Explorer and NEOWISE, joint projects of UCLA and JPL/Caltech, funded by NASA.",
            OPEN, Coverage("all sky", moc="CDS/P/unWISE/W1"),
        ),
        _row(
            "galex", {b: f"CDS/P/GALEXGR6_7/{b}" for b in ("FUV", "NUV")}, 1.5, "GALEX GR6/7",
            "Based on observations made with the NASA Galaxy Evolution Explorer. Cite Bianchi et al. 2017, ApJS 230, 24.",
            NASA, Coverage("most of the sky off the galactic plane", moc="CDS/P/GALEXGR6_7/NUV"),
        ),
        _row(
            "hsc", {b: f"CDS/P/HSC/DR2/wide/{b}" for b in "grizy"}, 0.168, "HSC-SSP PDR2 wide",
            "Aihara et al. 2019, PASJ 71, 114 (acknowledgement at https://hsc-release.mtk.nao.ac.jp/doc/index.php/acknowledging-hsc-2/).",
            OPEN, Coverage("about 1,000 square degrees near the equator and at +43 deg", (-8.0, 46.0), moc="CDS/P/HSC/DR2/wide/i"),
        ),
        _row(
            "vlass", {"3GHz": "NRAO/P/VLASS-Quicklook-MedianStack"}, 1.0, "VLASS Quick Look, median of epochs",
            "Lacy et al. 2020, PASP 132, 035001. The National Radio Astronomy Observatory is a facility of the National Science Foundation operated "
            "under cooperative agreement by Associated Universities, Inc.",
            OPEN, Coverage("north of -40 deg, in part", (-40.0, 90.0), moc="NRAO/P/VLASS-Quicklook-MedianStack"),
        ),
        _row(
            "lotss", {"144MHz": "astron.nl/P/lotss_dr2_high"}, 1.5, "LoTSS DR2",
            "Shimwell et al. 2022, A&A 659, A1 (acknowledgement at https://lofar-surveys.org/credits.html).",
            OPEN, Coverage("27 % of the northern sky", (0.0, 90.0), moc="astron.nl/P/lotss_dr2_high"),
        ),
        _row(
            "racs", {"888MHz": "CSIRO/P/RACS/low/I", "1367MHz": "CSIRO/P/RACS/mid/I"}, 2.5, "RACS-low and RACS-mid",
            "McConnell et al. 2020, PASA 37, e048; Duchesne et al. 2023, PASA 40, e034. This paper includes archived data obtained through the CSIRO "
            "ASKAP Science Data Archive, CASDA (http://data.csiro.au).",
            "CC-BY-4.0", Coverage("south of +41 (low) and +49 deg (mid)", (-90.0, 49.0), moc="CSIRO/P/RACS/low/I"),
        ),
        _row(
            "chandra", dict.fromkeys(COLOURS, "cxc.harvard.edu/P/cda/hips/allsky/rgb"), 0.5, "Chandra Data Archive",
            "This research has made use of data obtained from the Chandra Data Archive provided by the Chandra X-ray Center (CXC).",
            NASA, Coverage("2 % of the sky, where Chandra pointed", moc="cxc.harvard.edu/P/cda/hips/allsky/rgb"), colour=True,
        ),
        _row(
            "xmm", {"0.5-1keV": "xcatdb/P/XMM/PN/eb2", "1-2keV": "xcatdb/P/XMM/PN/eb3", "2-4.5keV": "xcatdb/P/XMM/PN/eb4"}, 4.0, "XMM-Newton EPIC pn",
            "Based on observations obtained with XMM-Newton, an ESA science mission with instruments and contributions directly funded by ESA Member "
            "States and NASA. HiPS by the XMM-Newton Survey Science Centre (XCatDB, Observatoire astronomique de Strasbourg).",
            OPEN, Coverage("2 % of the sky, where XMM-Newton pointed", moc="xcatdb/P/XMM/PN/eb3"),
        ),
        _row(
            "swift", {f"{e}keV": f"ov-gso/P/BAT/{e}keV" for e in ("14-20", "35-50", "150-195")}, 160.0, "Swift BAT",
            "Swift BAT hard X-ray survey: Baumgartner et al. 2013, ApJS 207, 19. HiPS by OV-GSO, Toulouse.",
            NASA, Coverage("all sky", moc="ov-gso/P/BAT/14-20keV"),
        ),
        _row(
            "fermi", {"0.3-1GeV": "CDS/P/Fermi/3", "1-3GeV": "CDS/P/Fermi/4", "3-300GeV": "CDS/P/Fermi/5"}, 50.0, "Fermi LAT",
            "Fermi Large Area Telescope: Atwood et al. 2009, ApJ 697, 1071; maps by the Fermi Science Support Center and HEASARC.",
            NASA, Coverage("all sky", moc="CDS/P/Fermi/5"),
        ),
        _row(
            "euclid", {"VIS": "CDS/P/Euclid/Q1/VIS", **{b: f"CDS/P/Euclid/Q1/NISP.{b}" for b in "YJH"}}, 0.1, "Euclid Q1",
            "This work has made use of the Euclid Quick Release Q1 data from the Euclid mission of the European Space Agency (ESA), 2025, "
            "https://doi.org/10.57780/esa-2853f3b.",
            "free to use with credit to ESA/Euclid/Euclid Consortium", Coverage("63 square degrees in three fields", (-50.0, 67.0), moc="CDS/P/Euclid/Q1/VIS"),
        ),
    )
}  # fmt: skip
