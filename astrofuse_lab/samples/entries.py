"""The table of named sample sets: what each is, where its files lie, and their checksums."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Entry:
    """One named set.

    Attributes
    ----------
    name, title : str
    modalities : tuple of str
    objects : int
        How many the whole set has; for the practice sky, how many are made unless `n` says otherwise.
    megabytes : float
        On disk, once built.
    licence, citation : str
    simulated : bool
    module : str
        A reader with ``FILES``, ``VERSION`` and ``read(folder)``, or a maker with ``VERSION`` and ``make(n, seed, progress)``.
    folder : str
        The set's folder under a mirror root; empty: nothing is read.
    files : mapping of str to str
        sha256 of each file that is read.
    """

    name: str
    title: str
    modalities: tuple[str, ...]
    objects: int
    megabytes: float
    licence: str
    citation: str
    simulated: bool
    module: str
    folder: str = ""
    files: Mapping[str, str] = field(default_factory=dict)


ENTRIES = (
    Entry(
        "practice", "The practice sky: stars, galaxies, quasars, supernovae, variable stars and asteroids, simulated",
        ("image", "spectrum", "light_curve", "table", "text"), 600, 40.0, "BSD-3-Clause", "AstroFuse Lab practice sky (simulated)", True,
        "astrofuse_lab.samples.practice",
    ),
    Entry(
        "practice-streaks", "Difference cutouts with streaks and what is taken for them, simulated",
        ("difference",), 600, 62.0, "CC0-1.0", "AstroFuse Lab simulators (simulated)", True, "astrofuse_lab.samples.simulated_streaks",
    ),
    Entry(
        "practice-triplets", "Alert triplets: real sources and artefacts of a simulated pipeline",
        ("image",), 600, 36.0, "CC0-1.0", "AstroFuse Lab simulators (simulated)", True, "astrofuse_lab.samples.simulated_triplets",
    ),
    Entry(
        "practice-image-pairs", "Reference and science images of one field, and the transient alone, simulated",
        ("reference", "science", "transient"), 600, 36.0, "CC0-1.0", "AstroFuse Lab simulators (simulated)", True, "astrofuse_lab.samples.simulated_image_pairs",
    ),
    Entry(
        "practice-lock-losses", "Monitor channels of a gravitational-wave detector, quiet or before a lock loss, simulated",
        ("series",), 400, 85.0, "CC0-1.0", "AstroFuse Lab simulator of lock losses (simulated)", True,
        "astrofuse_lab.samples.simulated_lock_losses",
    ),
    Entry(
        "ztf-alerts", "Alerts of the Zwicky Transient Facility: stamps, difference light curves and packet fields",
        ("image", "light_curve", "table"), 2046, 124.0, "Apache-2.0, BSD-3-Clause and MIT repositories; public ZTF survey",
        "Bellm et al. 2019, PASP 131, 018002; Masci et al. 2019, PASP 131, 018003; Patterson et al. 2019, PASP 131, 018001", False,
        "astrofuse_lab.samples.readers.ztf_alerts", "ztf_alerts",
        {
            "ztf_alerts.parquet": "5cc829657d14aace3209e7035ca1868bdd25456de2c885b763afa27b11bbe17a",
            "ztf_cutouts.h5": "86e0351b130c12771d51cdec849e383cab25aa40abfb11057b71b9f709b704fb",
            "ztf_lightcurves.parquet": "15d09b85ec749f7806ceae7f9035061a3097496f81004848383e23c8cb3ed673",
        },
    ),
    Entry(
        "crts-variables", "Catalina light curves of variable stars, 16 classes",
        ("light_curve",), 4652, 24.3, "MIT repository; CRTS data public", "Drake et al. 2009, ApJ 696, 870; Drake et al. 2014, ApJS 213, 9", False,
        "astrofuse_lab.samples.readers.crts_variables", "crts_variables",
        {"crts_labelled_lightcurves.npz": "88a6830df460f436f90dfea796cacc04583af11309c9c0b246760ebe190c29db"},
    ),
    Entry(
        "supernovae", "Real supernovae: spectrum nearest the peak, light curves in 25 bands, metadata, text",
        ("spectrum", "light_curve", "table", "text"), 1030, 18.1, "mixed, per row; open_subset: MIT and BSD-3-Clause repositories",
        "Guillochon et al. 2017, ApJ 835, 64; Yaron & Gal-Yam 2012, PASP 124, 668; Brown et al. 2014, Ap&SS 354, 89; Gomez et al. 2024; Simongini et al. 2024", False,
        "astrofuse_lab.samples.readers.supernovae", "supernovae",
        {
            "sn_events.parquet": "8df16ba0da3d1b704e92c7209786e4069a9507f10f9928486b52244088d53f67",
            "sn_photometry.parquet": "8bb272d80d642e1f5c9e8739c3b633a517c6e485179968cb333c6910ab84b23f",
            "sn_spectra.parquet": "a76981cdde2c2dbbaef4d4379a30f989283950b677b3cea88ebb86841ba5d4fe",
        },
    ),
    Entry(
        "supernova-spectra", "All spectra of the real supernovae, one object a spectrum",
        ("spectrum",), 6658, 96.4, "mixed, per row; open_subset: MIT and BSD-3-Clause repositories",
        "Guillochon et al. 2017, ApJ 835, 64; Yaron & Gal-Yam 2012, PASP 124, 668; Brown et al. 2014, Ap&SS 354, 89; Gomez et al. 2024; Simongini et al. 2024", False,
        "astrofuse_lab.samples.readers.supernova_spectra", "supernovae",
        {
            "sn_events.parquet": "8df16ba0da3d1b704e92c7209786e4069a9507f10f9928486b52244088d53f67",
            "sn_spectra.parquet": "a76981cdde2c2dbbaef4d4379a30f989283950b677b3cea88ebb86841ba5d4fe",
        },
    ),
    Entry(
        "core-collapse", "Core-collapse supernovae: every spectrum with its event's r and g light curves, day by day and as DMDT images",
        ("g_dmdt", "r_dmdt", "spectrum", "g_curve", "r_curve"), 2821, 68.3, "mixed, per row; open_subset: MIT and BSD-3-Clause repositories",
        "Guillochon et al. 2017, ApJ 835, 64; Yaron & Gal-Yam 2012, PASP 124, 668; Brown et al. 2014, Ap&SS 354, 89; Simongini et al. 2024", False,
        "astrofuse_lab.samples.readers.core_collapse", "supernovae",
        {
            "sn_events.parquet": "8df16ba0da3d1b704e92c7209786e4069a9507f10f9928486b52244088d53f67",
            "sn_photometry.parquet": "8bb272d80d642e1f5c9e8739c3b633a517c6e485179968cb333c6910ab84b23f",
            "sn_spectra.parquet": "a76981cdde2c2dbbaef4d4379a30f989283950b677b3cea88ebb86841ba5d4fe",
        },
    ),
    Entry(
        "eros1-variables", "EROS-1 variable stars of the LMC: two-band light curves and a table",
        ("light_curve", "table"), 3641, 15.8, "none stated; public survey",
        "EROS collaboration (M. Moniez), plates 1990-94; github.com/ramp-kits/variable_stars", False,
        "astrofuse_lab.samples.readers.eros1_variables", "eros1_lmc_variables",
        {
            "eros1_lmc.parquet": "ac955a11402d0d81dea656409b04446092d2f9676357782155efce175b56d7ca",
        },
    ),
    Entry(
        "tess-transits", "TESS transit candidates: folded views and stellar scalars",
        ("global_view", "half_phase", "local_view", "table"), 5171, 17.2, "MIT repository; NASA data, public domain",
        "Rao et al. 2021, MNRAS 502, 2845; Ricker et al. 2015, JATIS 1, 014003", False,
        "astrofuse_lab.samples.readers.tess_transits", "tess_transits",
        {
            "nigraha_labelled_views.npz": "d5cdc4f43175357313f3b4db05d44ca09a6bbdb2104f37d4ab1ba6884d47997b",
        },
    ),
    Entry(
        "practice-transits", "Transit candidates of TESS: planets, eclipsing binaries, grazing eclipses and systematics, simulated",
        ("global_view", "half_phase", "local_view", "table"), 600, 2.5, "CC0-1.0", "AstroFuse Lab practice sky (simulated)", True,
        "astrofuse_lab.samples.simulated_transits",
    ),
    Entry(
        "practice-bursts", "Fast radio bursts: dynamic spectra of 256 x 256 in six archetypes, simulated",
        ("image",), 240, 79.0, "CC0-1.0", "AstroFuse Lab practice sky (simulated)", True,
        "astrofuse_lab.samples.simulated_bursts",
    ),
    Entry(
        "frb-morphology", "CHIME bursts: scores of a voting ensemble and human types",
        ("table",), 535, 0.03, "MIT repository; CHIME/FRB Catalog 1 public",
        "Kumar et al. 2025, arXiv:2507.14854; CHIME/FRB Collaboration 2021, ApJS 257, 59", False,
        "astrofuse_lab.samples.readers.frb_morphology", "frabjous",
        {
            "all_scores.csv": "67af1d8b31b24c0acbc3df95e7be34b7ccb46b320d3bcb57135547d6b202802e",
            "predictions_for_chime_bursts.csv": "6596b29c61e770753bc624d649459937fda63c8dc8e7611d75cd4b10eed73013",
        },
    ),
    Entry(
        "chime-frbs", "CHIME/FRB Catalog 1: bursts of repeaters and others",
        ("table",), 600, 0.14, "MIT repository; CHIME/FRB Catalog 1 public",
        "CHIME/FRB Collaboration 2021, ApJS 257, 59", False,
        "astrofuse_lab.samples.readers.chime_frbs", "small_tables",
        {
            "chime_frb_cat1.parquet": "c8992321a8af59f53ce223dfc5f503a12d29d3460b6cbf0ef6bd1f9bdb54aa96",
        },
    ),
    Entry(
        "koi", "Kepler objects of interest: confirmed, candidate or false positive",
        ("table",), 9564, 0.86, "public domain (NASA)",
        "NASA Exoplanet Archive, cumulative KOI table, doi:10.26133/NEA4", False,
        "astrofuse_lab.samples.readers.koi", "small_tables",
        {
            "koi_cumulative.parquet": "036c2cd63d12bd3598f2af6555378e5ab9f50d5530600f6e53f4364607e924f7",
        },
    ),
    Entry(
        "jwst-photoz", "HST and JWST photometry in 11 bands with spectroscopic redshifts",
        ("table",), 5667, 1.6, "none stated; DJA public",
        "DAWN JWST Archive; Valentino et al. 2023, ApJ 947, 20", False,
        "astrofuse_lab.samples.readers.jwst_photoz", "small_tables",
        {
            "jwst_photometry_zspec.parquet": "d7abf8226026582e78361400715645e61fd80d4c2415980cf77c098802eca6b8",
        },
    ),
    Entry(
        "sharp-flares", "Magnetic parameters of active regions, and flares",
        ("table",), 8874, 1.8, "none stated; NASA/SDO public",
        "Bobra et al. 2014, Solar Physics 289, 3549; Bobra & Couvidat 2015, ApJ 798, 135", False,
        "astrofuse_lab.samples.readers.sharp_flares", "small_tables",
        {
            "sharp_flares.parquet": "4244ead35cdd56fe1ab19e9956380476bac41a9f17b03ce6ea23815159608334",
        },
    ),
    Entry(
        "rubin-alerts", "Alerts of the Rubin Observatory: stamps, difference light curves, forced photometry and packet fields",
        ("image", "forced_photometry", "light_curve", "table"), 174, 4.5, "Apache-2.0 repositories; Rubin alerts are world-public",
        "Ivezic et al. 2019, ApJ 873, 111; Moller et al. 2021, MNRAS 501, 3272", False,
        "astrofuse_lab.samples.readers.rubin_alerts", "ztf_alerts",
        {
            "rubin_alerts.parquet": "0eb7f592335298d865d6b4e5847a87240d09af04742aab9de4e0dd9e1f187a56",
            "rubin_cutouts.h5": "dedb55a43ac5714efa25d7f20b45004981907de1647e24c8466c37f994907fa1",
            "rubin_lightcurves.parquet": "96d80b3df333010bf1e2cc1265dc42daff50e3f60dccb2a84cd3f3f67442b7c0",
        },
    ),
    Entry(
        "braai-alerts", "Twenty ZTF alerts with the score of the original real/bogus network",
        ("image", "table"), 20, 1.2, "MIT repositories; ZTF public alerts",
        "Duev et al. 2019, MNRAS 489, 3582", False,
        "astrofuse_lab.samples.readers.braai_alerts", "braai",
        {
            "ztf_alerts_cutouts.npz": "27687e67fa9e62231f190ec480866eb88851a393961d29d808ca9b78a62e316b",
            "ztf_alerts_meta.json": "e224296fcf145243defc45df2b3aeb1028b0389c05d5b371f8472fbe65f7428c",
        },
    ),
    Entry(
        "gw-alerts", "Gravitational-wave alerts of O3 and O4: scalars, 23 sky maps, subjects of circulars",
        ("image", "table", "text"), 304, 24.8, "mixed; GraceDB public alerts; GWSkyNet-Multi: MIT",
        "GraceDB (LIGO, Virgo, KAGRA); Raza et al. 2025, arXiv:2502.00297; Singer & Price 2016, PRD 93, 024013", False,
        "astrofuse_lab.samples.readers.gw_alerts", "gw_alerts",
        {
            "alerts.parquet": "ff135f1672bfeb8d54fc2253cbac9254c76a82189b27c3bb7f579504ade23c02",
            "o3_bayestar_skymaps.parquet": "43b7ef55b5b08c97adf37a3b531f1437ce30894382ee944498be9721e892745d",
        },
    ),
    Entry(
        "astroalertbench", "Fifteen alerts of AstroAlertBench, metadata; its leaderboard",
        ("table",), 15, 0.01, "MIT repository; ZTF public alerts",
        "Chen et al. 2026, arXiv:2605.05573", False,
        "astrofuse_lab.samples.readers.astroalertbench", "astroalertbench",
        {
            "fixture15.csv": "b2f770a4b022a3b440476dc6860c2d4550a0ad7716a29004394e5b28505e03eb",
            "leaderboard.csv": "2915e33c0063469ff0967a5d14a1b1cbe0da79afb84de3a8f6351a75766308dd",
        },
    ),
    Entry(
        "ztf-sources", "ZTF DR5 light curves of one quadrant, unlabelled",
        ("light_curve",), 5449, 2.1, "MIT repositories; ZTF public data release",
        "Bellm et al. 2019, PASP 131, 018002; Masci et al. 2019, PASP 131, 018003", False,
        "astrofuse_lab.samples.readers.ztf_sources", "scope",
        {
            "ztf_000250_zg_c01_q1_dr5.parquet": "7b4620c0eaa4fccc99f118b9badb6e600cd4fff665a77c6fa8f8418ca52224d6",
        },
    ),
    Entry(
        "ztf-features", "Statistics, periods and Fourier features of 123 ZTF sources",
        ("table",), 123, 0.07, "MIT repositories; ZTF public",
        "Coughlin et al. 2021, MNRAS 505, 2954; van Roestel et al. 2021, AJ 161, 267", False,
        "astrofuse_lab.samples.readers.ztf_features", "scope",
        {
            "ztf_source_features_331_2_3_7.h5": "24996f12c1e45947321d63131780514eb1379dcfc5ce54a9bdc5fa1133342a5f",
        },
    ),
    Entry(
        "scope-predictions", "SCoPe's scores of 100 ZTF sources in 44 classes, by two classifiers",
        ("table",), 100, 0.05, "MIT repository",
        "Healy et al. 2024, ApJS 272, 14; van Roestel et al. 2021, AJ 161, 267", False,
        "astrofuse_lab.samples.readers.scope_predictions", "scope",
        {
            "field_296_100rows.csv": "eb467d74562ac415234318621938fdb8eaef57a1473e6d85c290a4f910a5f465",
        },
    ),
    Entry(
        "lamost-stars", "LAMOST spectra and magnitudes of 176 stars, A to M",
        ("spectrum", "table"), 176, 6.2, "MIT repository; cite LAMOST",
        "Cui et al. 2012, RAA 12, 1197; Luo et al. 2015, RAA 15, 1095", False,
        "astrofuse_lab.samples.readers.lamost_stars", "lamost_sample",
        {
            "lamost_176.parquet": "e74c109cb79222b34b6a3799d5b8b6ba5d7e54199a0d99694ac4a14b174436a2",
        },
    ),
    Entry(
        "sdss-galaxies-10", "Ten SDSS galaxies with picture, spectrum, photometry and redshift",
        ("image", "spectrum", "table"), 10, 10.2, "no repository licence; SDSS public, images CC BY",
        "SDSS Collaboration 2025, arXiv:2507.07093; York et al. 2000, AJ 120, 1579", False,
        "astrofuse_lab.samples.readers.sdss_galaxies", "sdss_fixture",
        {
            "sdss10.parquet": "2b62ecc86258713cb4078f9d636618b4532dd96b4e782223ea6023cf6c8dbc9a",
        },
    ),
    Entry(
        "gcn-subjects", "Subjects of GCN Circulars 1997-2025, with topics by a language model",
        ("text",), 40506, 3.4, "no licence file; GCN Circulars hosted by NASA",
        "GCN Circulars (NASA GCN); github.com/nasa-gcn/circulars-nlp-paper", False,
        "astrofuse_lab.samples.readers.gcn_subjects", "gw_alerts",
        {
            "gcn_subjects.parquet": "e20f0124871d7aa1a4bf2c962df06d4d195333177e8c2f2fc452ee22946b89a1",
        },
    ),
    Entry(
        "practice-gw-maps", "Gravitational-wave alerts: sky maps, distance layers, volumes and numbers, simulated",
        ("distance_layers", "sky_map", "volume", "table"), 200, 116.0, "BSD-3-Clause", "AstroFuse Lab (simulated); method: Singer & Price 2016, PRD 93, 024013", True,
        "astrofuse_lab.samples.simulated_gw_maps",
    ),
    Entry(
        "gw-sky-maps", "Real BAYESTAR maps of 23 alerts of O3a, as the GWSkyNet networks read them; no distance layers",
        ("distance_layers", "sky_map", "volume", "table"), 23, 13.4, "no licence file; GraceDB public alerts", "GraceDB (LIGO, Virgo); Singer & Price 2016, PRD 93, 024013", False,
        "astrofuse_lab.samples.readers.gw_sky_maps", "gw_alerts",
        {
            "o3_bayestar_skymaps.parquet": "43b7ef55b5b08c97adf37a3b531f1437ce30894382ee944498be9721e892745d",
        },
    ),
    Entry(
        "practice-gw-alerts", "Gravitational-wave alerts as nine numbers: mergers and glitches, simulated",
        ("table",), 1000, 0.2, "BSD-3-Clause", "AstroFuse Lab (simulated); method: Singer & Price 2016, PRD 93, 024013", True,
        "astrofuse_lab.samples.simulated_gw_alerts",
    ),
    Entry(
        "gw-superevents", "All 80 superevents of O3, kept or retracted",
        ("table",), 80, 0.01, "no licence file; GraceDB public alerts",
        "GraceDB public alerts (LIGO, Virgo, KAGRA)", False,
        "astrofuse_lab.samples.readers.gw_superevents", "gw_alerts",
        {
            "o3_superevents_80.parquet": "5af4f642aef5b6a0653fefe1672fcd007a8e0b8b00b71ab722ac17135d1d6fa0",
        },
    ),
)  # fmt: skip
