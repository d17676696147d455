<resource schema="practice" resdir="practice">
  <meta name="creationDate">2026-01-01T00:00:00Z</meta>
  <meta name="title">Practice sky</meta>
  <meta name="description">Simulated objects, published for tests.</meta>
  <meta name="subject">surveys</meta>
  <meta name="creator">AstroFuse Lab</meta>
  <meta name="instrument">Practice camera</meta>
  <meta name="facility">Practice observatory</meta>
  <meta name="contentLevel">Research</meta>
  <meta name="type">Catalog</meta>
  <meta name="coverage.waveband">Optical</meta>
  <meta name="ssap.dataSource">artificial</meta>
  <meta name="ssap.creationType">archival</meta>

  @TABLES@

  <service id="cone" allowed="scs.xml">
    <meta name="shortName">practice cone</meta>
    <meta name="testQuery"><meta name="ra">1</meta><meta name="dec">1</meta><meta name="sr">1</meta></meta>
    <scsCore queriedTable="main">
      <FEED source="//scs#coreDescs"/>
    </scsCore>
    <outputTable verbLevel="30"/>
  </service>

  <!-- images: files as they are, and others behind DataLink with a service that cuts -->
  <table id="images" onDisk="True" mixin="//siap#pgs" adql="True">
    <mixin calibLevel="2" collectionName="'direct'">//obscore#publishSIAP</mixin>
  </table>
  <table id="linked" onDisk="True" mixin="//siap#pgs" adql="True">
    <mixin calibLevel="2" collectionName="'linked'"
      access_url="'\getConfig{web}{serverURL}/practice/q/cut/dlmeta?ID=' || gavo_urlescape(\sql_standardPubDID)"
      access_format="'application/x-votable+xml;content=datalink'">//obscore#publishSIAP</mixin>
  </table>
  <STREAM id="image_set">
    <data id="import_\name">
      <sources pattern="data/\name/*.fits"/>
      <fitsProdGrammar>
        <rowfilter procDef="//products#define"><bind key="table">"\\schema.\name"</bind></rowfilter>
      </fitsProdGrammar>
      <make table="\name">
        <rowmaker>
          <apply procDef="//siap#setMeta">
            <bind key="dateObs">@MJD_OBS</bind>
            <bind key="bandpassId">@FILTER</bind>
            <bind key="bandpassLo">@LOWAVE</bind>
            <bind key="bandpassHi">@HIWAVE</bind>
            <bind key="pixflags">"C"</bind>
            <bind key="title">"%s %s"%(@OBJECT, @FILTER)</bind>
          </apply>
          <apply procDef="//siap#computePGS"/>
        </rowmaker>
      </make>
    </data>
  </STREAM>
  <FEED source="image_set" name="images"/>
  <FEED source="image_set" name="linked"/>
  <service id="cut" allowed="dlget,dlmeta">
    <meta name="title">Practice cutouts</meta>
    <datalinkCore>
      <descriptorGenerator procDef="//soda#fits_genDesc"/>
      <FEED source="//soda#fits_standardDLFuncs"/>
    </datalinkCore>
  </service>

  <!-- spectra: files as they are; light curves: through DataLink -->
  <STREAM id="files">
    <table id="raw_\name" onDisk="True" adql="hidden" namePath="//ssap#instance">
      <column original="ssa_dateObs"/>
      <column original="ssa_dstitle"/>
      <column original="ssa_targname"/>
      <column original="ssa_length"/>
      <column original="ssa_specstart"/>
      <column original="ssa_specend"/>
      <mixin>//products#table</mixin>
      <mixin>//ssap#plainlocation</mixin>
    </table>
    <data id="import_\name">
      <recreateAfter>view_\name</recreateAfter>
      <sources>data/\name.csv</sources>
      <csvGrammar>
        <rowfilter procDef="//products#define">
          <bind key="table">"\\schema.raw_\name"</bind>
          <bind key="accref">\accref</bind>
          <bind key="path">\path</bind>
          <bind key="mime">\mime</bind>
          <bind key="fsize">1000</bind>
          <bind key="preview">None</bind>
        </rowfilter>
      </csvGrammar>
      <make table="raw_\name">
        <rowmaker idmaps="*">
          <apply procDef="//ssap#fill-plainlocation">
            <bind key="ra">float(@ra)</bind>
            <bind key="dec">float(@dec)</bind>
            <bind key="aperture">1/3600.</bind>
          </apply>
          <map key="ssa_dateObs">59000.0</map>
          <map key="ssa_dstitle">@target</map>
          <map key="ssa_targname">@target</map>
          <map key="ssa_length">int(@n)</map>
          <map key="ssa_specstart">float(@low)</map>
          <map key="ssa_specend">float(@high)</map>
        </rowmaker>
      </make>
    </data>
  </STREAM>
  <STREAM id="served">
    <data id="view_\name" auto="False"><make table="\name"/></data>
    <service id="\service" allowed="ssap.xml">
      <meta name="shortName">practice \service</meta>
      <meta name="ssap.complianceLevel">full</meta>
      <ssapCore queriedTable="\name"><FEED source="//ssap#hcd_condDescs"/></ssapCore>
    </service>
  </STREAM>
  <FEED source="files" name="spectra" accref='"practice/data/"+@file' path='"practice/data/"+@file' mime="@mime"/>
  <table id="curve_files" onDisk="True"><mixin>//products#table</mixin></table>
  <data id="import_curve_files">
    <sources>data/curves.csv</sources>
    <csvGrammar>
      <rowfilter procDef="//products#define">
        <bind key="table">"\schema.curve_files"</bind>
        <bind key="accref">"practice/data/"+@file</bind>
        <bind key="path">"practice/data/"+@file</bind>
        <bind key="mime">@mime</bind>
        <bind key="fsize">1000</bind>
        <bind key="preview">None</bind>
      </rowfilter>
    </csvGrammar>
    <make table="curve_files"/>
  </data>
  <FEED source="files" name="curves" accref='"links/"+@file'
    path='base.getConfig("web", "serverURL")+"/practice/q/links/dlmeta?ID="+urllib.parse.quote("ivo://x-astrofuse/~?practice/data/"+@file)'
    mime="'application/x-votable+xml;content=datalink'"/>
  <table id="spectra" onDisk="True" adql="True">
    <mixin sourcetable="raw_spectra" copiedcolumns="*" ssa_fluxunit="''" ssa_spectralunit="''" ssa_fluxcalib="'ABSOLUTE'" ssa_collection="'practice'">//ssap#view</mixin>
    <mixin calibLevel="2" coverage="NULL">//obscore#publishSSAPMIXC</mixin>
  </table>
  <FEED source="served" name="spectra" service="ssa"/>
  <table id="curves" onDisk="True" adql="True">
    <mixin sourcetable="raw_curves" copiedcolumns="*" ssa_fluxunit="''" ssa_spectralunit="''" ssa_fluxcalib="'ABSOLUTE'" ssa_collection="'practice'"
      ssa_dstype="'timeseries'">//ssap#view</mixin>
    <mixin calibLevel="2" coverage="NULL" productType="'timeseries'">//obscore#publishSSAPMIXC</mixin>
  </table>
  <FEED source="served" name="curves" service="series"/>
  <service id="links" allowed="dlget,dlmeta">
    <meta name="title">Practice light curves</meta>
    <datalinkCore>
      <descriptorGenerator procDef="//soda#fromStandardPubDID"/>
    </datalinkCore>
  </service>
</resource>
